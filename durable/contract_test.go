package durable

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestCheckTopicAndGroup(t *testing.T) {
	for topic, ok := range map[string]bool{
		"orders": true, "a.b_c-D9": true, strings.Repeat("a", 249): true,
		"": false, ".": false, "..": false, "a b": false, "a/b": false, "é": false, strings.Repeat("a", 250): false,
	} {
		if err := CheckTopic(topic); (err == nil) != ok || !ok && !errors.Is(err, ErrInvalid) {
			t.Errorf("CheckTopic(%q): got %v, want ok %v", topic, err, ok)
		}
	}
	for name, c := range map[string]struct {
		g  Group
		ok bool
	}{
		"good":      {Group{Name: "a:b", Topics: Topics("x", "y")}, true},
		"no name":   {Group{Topics: Topics("x")}, false},
		"bad name":  {Group{Name: "a b", Topics: Topics("x")}, false},
		"no topics": {Group{Name: "a"}, false},
		"bad topic": {Group{Name: "a", Topics: Topics("x", "")}, false},
		"twice":     {Group{Name: "a", Topics: Topics("x", "x")}, false},
	} {
		if err := CheckGroup(c.g); (err == nil) != c.ok {
			t.Errorf("CheckGroup %s: got %v", name, err)
		}
	}
}

func TestCheckAppendRejectsTheOffendingMessageAlone(t *testing.T) {
	good, bad := message.NewMessage("1", []byte("abc")), message.NewMessage("2", nil)
	bad.Metadata = message.Metadata{"a\nb": ""}
	large := message.NewMessage("3", make([]byte, 100))
	for name, c := range map[string]struct {
		bad  *message.Message
		want error
	}{"metadata": {bad, ErrInvalid}, "nil": {nil, ErrInvalid}, "large": {large, ErrTooLarge}} {
		err := CheckAppend("t", 50, []*message.Message{good, c.bad, good})
		var b *BatchError
		if !errors.As(err, &b) || !errors.Is(err, c.want) {
			t.Fatalf("%s: got %v, want a BatchError that is %v", name, err, c.want)
		}
		got := [3]Status{b.Outcomes[0].Status, b.Outcomes[1].Status, b.Outcomes[2].Status}
		if got != [3]Status{NotSent, Rejected, NotSent} || !strings.Contains(err.Error(), "message 1 rejected") {
			t.Errorf("%s: got %v, %q", name, got, err)
		}
	}
	wantNil(t, "no bound", CheckAppend("t", 0, []*message.Message{good, large}))
	wantNil(t, "at the bound", CheckAppend("t", 101, []*message.Message{large}))
	if n := Size(good); n != 4 {
		t.Errorf("Size: got %d, want 4", n)
	}
}

func TestInvalidShortensItsValue(t *testing.T) {
	e := Invalid("f", strings.Repeat("é", 100), "remedy")
	if len(e.Value) > 64+len("…") || !strings.HasSuffix(e.Value, "é…") {
		t.Errorf("value %q", e.Value)
	}
}

func TestAClaimEndsInTwoPhases(t *testing.T) {
	c := NewClaim(context.Background(), "t", 3, 7)
	if c.Topic() != "t" || c.Partition() != 3 || c.Epoch() != 7 || c.Lost() {
		t.Error("a new claim is not what it was made")
	}
	c.Drain()
	c.Drain()
	<-c.Draining()
	if c.Lost() {
		t.Error("draining lost the claim")
	}
	cause := errors.New("cause")
	c.Lose(cause)
	c.Lose(nil)
	if !c.Lost() || !errors.Is(context.Cause(c.Context()), cause) {
		t.Errorf("cause %v, want the first", context.Cause(c.Context()))
	}
	c = NewClaim(context.Background(), "t", 0, 1)
	lost := make(chan bool, 1) // whether it was, when it began to drain
	go func() {
		<-c.Draining()
		lost <- c.Lost()
	}()
	c.Lose(nil)
	if !<-lost {
		t.Error("a claim that is lost drained as one that is held")
	}
	if !errors.Is(context.Cause(c.Context()), ErrFenced) {
		t.Errorf("cause %v, want ErrFenced", context.Cause(c.Context()))
	}
}

func TestStartKeepsWhatItWasGiven(t *testing.T) {
	cursor := Cursor{0: "a"}
	s := After(cursor)
	cursor[0] = "b"
	s.Cursor()[0] = "c"
	if s.Cursor()[0] != "a" || s.Kind() != StartAfter {
		t.Errorf("the cursor changed: %v", s.Cursor())
	}
	at := time.Unix(1, 0)
	if At(at).Time() != at || At(at).Kind() != StartAt || Oldest().Kind() != StartOldest || Newest().Kind() != StartNewest {
		t.Error("a start lost its kind or time")
	}
	if (Start{}).Or(Newest()).Kind() != StartNewest || Oldest().Or(Newest()).Kind() != StartOldest {
		t.Error("Or does not fall back on the default alone")
	}
}
