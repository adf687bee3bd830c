package realtime

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWhatSubscribeIsGivenIsChecked(t *testing.T) {
	all, exact := Capabilities{Backend: "all", Patterns: true}, Capabilities{Backend: "exact"}
	for _, c := range []struct {
		name     string
		caps     Capabilities
		channels []string
		want     error
	}{
		{"nothing", all, nil, ErrInvalid},
		{"exact", exact, []string{"a", "events:order:7"}, nil},
		{"wildcards in an exact channel", exact, []string{"a*[1]"}, nil},
		{"pattern", all, []string{"a", Pattern("b*")}, nil},
		{"pattern where there are none", exact, []string{"a", Pattern("b*")}, ErrUnsupported},
		{"an invalid pattern is invalid everywhere", exact, []string{Pattern("")}, ErrInvalid},
		{"empty", all, []string{"a", ""}, ErrInvalid},
		{"longest", all, []string{strings.Repeat("a", MaxChannel), Pattern(strings.Repeat("a", MaxChannel))}, nil},
		{"too long", all, []string{strings.Repeat("a", MaxChannel+1)}, ErrInvalid},
		{"too long a pattern", all, []string{Pattern(strings.Repeat("a", MaxChannel+1))}, ErrInvalid},
		{"control character", all, []string{"a\nb"}, ErrInvalid},
		{"delete", all, []string{"a\x7f"}, ErrInvalid},
		{"not UTF-8", all, []string{"\xff"}, ErrInvalid},
		{"not ASCII", all, []string{"é", Pattern("日*")}, nil},
	} {
		err := CheckSubscribe(c.caps, c.channels)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if err := CheckSubscribe(exact, []string{Pattern("a")}); err == nil || !strings.Contains(err.Error(), "exact: patterns") {
		t.Errorf("the error must name the backend and the ability, got %v", err)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for field, change := range map[string]func(*Notification){
		"channel":      func(n *Notification) { n.Channel = "" },
		"ID":           func(n *Notification) { n.ID = "" },
		"Type":         func(n *Notification) { n.Type = "\n" },
		"SourceType":   func(n *Notification) { n.SourceType = "\x00" },
		"SourceID":     func(n *Notification) { n.SourceID = "\xff" },
		"Topic":        func(n *Notification) { n.Topic = "\t" },
		"Position":     func(n *Notification) { n.Position = "\x7f" },
		"TraceParent":  func(n *Notification) { n.TraceParent = "\r" },
		"Time":         func(n *Notification) { n.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"notification": func(n *Notification) { n.SourceID = strings.Repeat("a", MaxSize) },
	} {
		n := note("c", 1)
		if err := n.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&n)
		err := n.Validate()
		var wrong *InvalidError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
		if err := CheckNotify([]Notification{note("c", 1), n}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: CheckNotify gave %v", field, err)
		}
	}
	bell := note("c", 1)
	bell.ID = "\a"
	if err := bell.Validate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("a control character in the id: got %v", err)
	}
}

func TestTheSizeLimitIsThatOfTheEncoding(t *testing.T) {
	for _, filling := range []string{"a", `"`, "é"} {
		n := Notification{Channel: "c", ID: "1", Type: "t", Time: time.Unix(0, 1)}
		for n.SourceID = filling; len(n.AppendJSON(nil)) <= MaxSize; n.SourceID += filling {
			if err := n.Validate(); err != nil {
				t.Fatalf("%q: %d bytes encoded: %v", filling, len(n.AppendJSON(nil)), err)
			}
		}
		err := n.Validate()
		if !errors.Is(err, ErrInvalid) || len(err.Error()) > 200 {
			t.Errorf("%q: %d bytes encoded: got %v, want a short ErrInvalid", filling, len(n.AppendJSON(nil)), err)
		}
	}
}

func TestAnInvalidErrorIsShort(t *testing.T) {
	err := CheckChannel(strings.Repeat("é", 5000))
	if !errors.Is(err, ErrInvalid) || len(err.Error()) > 200 {
		t.Errorf("got %v", err)
	}
}

func TestGapReasonsHaveNames(t *testing.T) {
	for reason, want := range map[GapReason]string{
		GapNone: "none", GapReconnect: "reconnect", GapOverflow: "overflow", GapSilence: "silence",
	} {
		if reason.String() != want {
			t.Errorf("got %q, want %q", reason, want)
		}
	}
}
