package durabletest

import (
	"errors"
	"strings"
	"testing"
)

// record plays lines such as "append k 1", "maybe 1", "start A k 1", "finish A 1", "fail A 1" and "die A".
func record(t *testing.T, script string) *History {
	t.Helper()
	h := new(History)
	end := map[string]func(bool){}
	for line := range strings.SplitSeq(strings.TrimSpace(script), ";") {
		f := strings.Fields(line)
		switch f[0] {
		case "append":
			h.Appended(f[1], f[2])
		case "start":
			end[f[1]+f[3]] = h.start(f[1], f[2], f[3])
		case "finish":
			end[f[1]+f[2]](true)
		case "fail":
			end[f[1]+f[2]](false)
		case "maybe":
			h.Uncertain(f[1])
		case "die":
			h.Died(f[1])
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return h
}

func TestHistoryJudgesWhatWasPromised(t *testing.T) {
	const appended = "append k 1;append k 2;append j 3;"
	const clean = appended + "start A k 1;finish A 1;start B j 3;finish B 3;start A k 2;finish A 2"
	all := Promise{Once: true, Ordered: true, Exclusive: true}
	for name, c := range map[string]struct {
		script  string
		promise Promise
		want    string // part of the error, "" for none
	}{
		"clean":             {clean, all, ""},
		"lost":              {appended + "start A k 1;finish A 1;start A k 2;finish A 2", Promise{}, "1 lost"},
		"never finished":    {appended + "start A k 1;finish A 1;start A k 2;finish A 2;start B j 3", Promise{}, "1 lost"},
		"made up":           {clean + ";start A k 9;finish A 9", Promise{}, "never appended"},
		"repeated":          {clean + ";start A k 1;finish A 1", all, "1 duplicated"},
		"repeated, allowed": {clean + ";start A k 1;finish A 1", Promise{Ordered: true}, ""},
		"inverted":          {appended + "start A k 2;finish A 2;start A k 1;finish A 1;start A j 3;finish A 3", all, "1 out of order"},
		"two owners":        {appended + "start A k 1;start B k 2;finish A 1;finish B 2;start A j 3;finish A 3", all, "two members at once"},
		"one owner, two at a time": {
			appended + "start A k 1;start A k 2;finish A 1;finish A 2;start A j 3;finish A 3", all, "",
		},
		"after a death": {
			appended + "start A k 1;die A;start B k 1;finish B 1;start B k 2;finish B 2;start B j 3;finish B 3",
			Promise{Ordered: true, Exclusive: true},
			"",
		},
		"tried again": {
			appended + "start A k 1;fail A 1;start A k 1;finish A 1;start A k 2;finish A 2;start A j 3;finish A 3", all, "",
		},
		"a second attempt beside the first": {
			appended + "start A k 1;start A k 1;finish A 1;start A k 2;finish A 2;start A j 3;finish A 3", all, "1 duplicated",
		},
		"two at a time, not promised": {
			appended + "start A k 1;start A k 2;finish A 1;finish A 2;start A j 3;finish A 3", Promise{Serial: true}, "beside another",
		},
		"the later one finished first": {
			appended + "start A k 1;start B k 2;finish B 2;finish A 1;start A j 3;finish A 3", Promise{Ordered: true, Serial: true}, "two members",
		},
		"a zombie finishes": {
			appended + "start A k 1;die A;start B k 1;finish A 1;finish B 1;start B k 2;finish B 2;start B j 3;finish B 3", all, "",
		},
		"a zombie starts": {
			appended + "die A;start B k 1;start A k 1;finish A 1;finish B 1;start B k 2;finish B 2;start B j 3;finish B 3",
			Promise{Exclusive: true},
			"two members",
		},
		"a redelivered later one before an earlier one": {
			appended + "start A k 2;die A;start B k 1;finish B 1;start B k 2;finish B 2;start B j 3;finish B 3",
			Promise{Ordered: true},
			"out of order",
		},
		"redelivered in order after later ones": {
			appended + "start A k 1;finish A 1;start A k 2;finish A 2;start A j 3;finish A 3;die A;start B k 1;finish B 1;start B k 2;finish B 2",
			Promise{Ordered: true, Exclusive: true, Serial: true, Window: 3},
			"",
		},
		"keys do not order each other": {
			appended + "start A j 3;finish A 3;start A k 1;finish A 1;start A k 2;finish A 2", all, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := record(t, c.script).Check(c.promise).Err()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want nil", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAMessageWithoutAKeyHasNoOrder(t *testing.T) {
	var h History
	h.Appended("", "1")
	h.Appended("", "2")
	second, first := h.Started("A", "", "2"), h.Started("B", "", "1")
	first()
	second()
	if err := h.Check(Promise{Ordered: true, Exclusive: true, Serial: true, Once: true}).Err(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestOnlyADeathBringsHandledMessagesBackAndOnlyTheLast(t *testing.T) {
	const handled = "append k 1;append k 2;append k 3;start A k 1;finish A 1;start A k 2;finish A 2;start A k 3;finish A 3;"
	for name, c := range map[string]struct {
		then   string
		window int
		want   bool
	}{
		"the last one":                   {"die A;start B k 3;finish B 3", 1, true},
		"the last two":                   {"die A;start B k 2;finish B 2;start B k 3;finish B 3", 2, true},
		"one too many":                   {"die A;start B k 2;finish B 2;start B k 3;finish B 3", 1, false},
		"nobody died":                    {"start B k 3;finish B 3", 10, false},
		"another one died":               {"die B;start C k 3;finish C 3", 10, false},
		"it died before":                 {"start B k 3;finish B 3;die A", 10, false},
		"twice after two deaths":         {"die A;start B k 3;finish B 3;die B;start C k 3;finish C 3", 1, true},
		"again after it was handed over": {"die A;start B k 3;finish B 3;start C k 3;finish C 3", 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := record(t, handled+c.then).Check(Promise{Ordered: true, Window: c.window}).Err()
			if (err == nil) != c.want {
				t.Errorf("got %v, want kept: %v", err, c.want)
			}
		})
	}
}

func TestAnUncertainMessageMayBeMissingOrTwice(t *testing.T) {
	promise := Promise{Once: true, Ordered: true, Window: 1}
	for _, then := range []string{"", ";start A k 2;finish A 2", ";start A k 2;finish A 2;start A k 2;finish A 2"} {
		if err := record(t, "append k 1;maybe 2;start A k 1;finish A 1"+then).Check(promise).Err(); err != nil {
			t.Errorf("%q: got %v, want nil", then, err)
		}
	}
	if err := record(t, "maybe 2;append k 2;start A k 1;finish A 1").Check(promise).Err(); err == nil {
		t.Error("an uncertain message that was acknowledged later is lost: got nil")
	}
}

func TestRanEndsWithItsError(t *testing.T) {
	var h History
	h.Appended("k", "1")
	failed := errors.New("failed")
	if err := h.Ran("A", "k", "1", func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v, want the handler's error", err)
	}
	if r := h.Check(Promise{}); len(r.Lost) != 1 || r.Handled != 0 {
		t.Errorf("got %+v, want one lost", r)
	}
	_ = h.Ran("A", "k", "1", func() error { return nil })
	if err := h.Check(Promise{Once: true, Serial: true, Ordered: true}).Err(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}
