package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestMatchFollowsRedisGlob(t *testing.T) {
	for _, c := range []struct {
		glob, channel string
		want          bool
	}{
		{"events:*:7", "events:order:7", true},
		{"h?llo", "hallo", true},
		{"h?llo", "hllo", false},
		{"h[ae]llo", "hillo", false},
		{"h[^e]llo", "hallo", true},
		{"h[b-a]llo", "hallo", true},
		{`a\*[1]`, "a*1", true},
		{`a\*[1]`, "a*[1]", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b", "xxaxxbxx", false},
		{"a**", "a", true},
		{"[a", "a", true},
		{Escape(`a*[1]\-^?`), `a*[1]\-^?`, true},
	} {
		if got := Match(c.glob, c.channel); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.glob, c.channel, got, c.want)
		}
	}
}

func TestWildcardsMeanSomethingOnlyInAPattern(t *testing.T) {
	literal := Channel("repo", "a*[1]")
	if !Selects(literal, literal) || Selects(literal, Channel("repo", "ab1")) {
		t.Errorf("%q must select itself alone", literal)
	}
	if !Selects(Pattern("events:repo:*"), literal) {
		t.Error("the pattern must select the channel")
	}
	if err := CheckChannel(Pattern("a")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a pattern as a channel: got %v, want ErrInvalid", err)
	}
}

func FuzzNotificationRoundTrip(f *testing.F) {
	f.Add("1", "t", `a"\b`, int64(1))
	f.Add("\x00é", "\xff", "", int64(0))
	f.Fuzz(func(t *testing.T, id, typ, source string, nanos int64) {
		n := Notification{Channel: "c", ID: id, Type: typ, SourceID: source, Time: time.Unix(0, nanos).UTC()}
		data := n.AppendJSON(nil)
		if !json.Valid(data) {
			t.Fatalf("not JSON: %q", data)
		}
		if n.Validate() != nil {
			return
		}
		got, err := ParseNotification("c", data)
		if err != nil || got != n {
			t.Fatalf("got %+v, %v, want %+v", got, err, n)
		}
	})
}

func TestInboxTellsWhatItDropped(t *testing.T) {
	b := NewInbox(2)
	for _, id := range []string{"1", "2", "3"} {
		b.Put(Notification{ID: id})
	}
	s, err := b.Next(context.Background())
	if err != nil || s.Gap != GapOverflow || s.Missed != 1 {
		t.Fatalf("got %+v, %v, want an overflow of 1", s, err)
	}
	if s, _ = b.Next(context.Background()); s.Notification.ID != "2" {
		t.Fatalf("got %q, want 2", s.Notification.ID)
	}
	b.Close()
	if _, err = b.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
}
