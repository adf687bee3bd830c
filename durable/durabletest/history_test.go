package durabletest

import (
	"strings"
	"testing"
)

// record plays lines such as "append k 1", "start A k 1", "finish A 1" and "die A".
func record(t *testing.T, script string) *History {
	t.Helper()
	h := new(History)
	finish := map[string]func(){}
	for line := range strings.SplitSeq(strings.TrimSpace(script), ";") {
		f := strings.Fields(line)
		switch f[0] {
		case "append":
			h.Appended(f[1], f[2])
		case "start":
			finish[f[1]+f[3]] = h.Started(f[1], f[2], f[3])
		case "finish":
			finish[f[1]+f[2]]()
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
