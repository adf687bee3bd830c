package redispubsub

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func TestWhatIsNotifiedArrivesWhole(t *testing.T) {
	b := open(t, testenv.Redis(t))
	n := realtime.Notification{
		Channel: unique(t), ID: "1", Type: "created", SourceType: "repo", SourceID: `a"\é`, Time: time.Unix(1, 2).UTC(),
		Topic: "t", Position: "3-0", TraceParent: "00-aa-bb-01",
	}
	s := subscribe(t, b, n.Channel)
	if err := b.Notify(soon(t), n); err != nil {
		t.Fatalf("Notify: got %v, want nil", err)
	}
	if got := next(t, s); got.Notification != n {
		t.Errorf("got %+v, want %+v", got.Notification, n)
	}
}

func TestAnyClientSeesJSON(t *testing.T) {
	addr := testenv.Redis(t)
	b, channel := open(t, addr), unique(t)
	ps := foreign(t, addr).Subscribe(soon(t), channel)
	defer ps.Close()
	if _, err := ps.Receive(soon(t)); err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	if err := b.Notify(soon(t), realtime.Notification{Channel: channel, ID: "7", Type: "x"}); err != nil {
		t.Fatalf("Notify: got %v, want nil", err)
	}
	m, err := ps.ReceiveMessage(soon(t))
	if err != nil || m.Payload != `{"id":"7","type":"x"}` {
		t.Errorf("got %+v, %v, want the JSON object", m, err)
	}
}

func TestWhatIsSentAfterSubscribeAndAddIsNotMissed(t *testing.T) {
	b, base := open(t, testenv.Redis(t)), unique(t)
	for i := range 100 {
		channel := base + strings.Repeat("x", i)
		s := subscribe(t, b, channel)
		notify(t, b, channel, "1")
		if err := s.Add(soon(t), channel+"-more"); err != nil {
			t.Fatalf("Add: got %v, want nil", err)
		}
		notify(t, b, channel+"-more", "2")
		if err := s.Remove(soon(t), channel+"-more"); err != nil {
			t.Fatalf("Remove: got %v, want nil", err)
		}
		notify(t, b, channel+"-more", "removed")
		notify(t, b, channel, "3")
		want(t, s, "1", "2", "3")
		if err := s.Close(); err != nil {
			t.Fatalf("Close: got %v, want nil", err)
		}
	}
}

func TestPatternsAndExactChannelsYieldOnce(t *testing.T) {
	b, base := open(t, testenv.Redis(t)), unique(t)
	all, most := realtime.Pattern(base+":*"), realtime.Pattern(base+":?*")
	s := subscribe(t, b, base+":a", all, most)
	notify(t, b, base+":a", "1")
	notify(t, b, base+":b", "2")
	if err := s.Remove(soon(t), base+":a"); err != nil {
		t.Fatalf("Remove: got %v, want nil", err)
	}
	notify(t, b, base+":a", "3")
	if err := s.Remove(soon(t), all); err != nil {
		t.Fatalf("Remove: got %v, want nil", err)
	}
	notify(t, b, base+":a", "4", "5")
	want(t, s, "1", "2", "3", "4", "5")
}

func TestWildcardsInASourceIDAreCharacters(t *testing.T) {
	b, kind := open(t, testenv.Redis(t)), unique(t)
	literal := realtime.Channel(kind, "a*[1]")
	exact := subscribe(t, b, literal)
	pattern := subscribe(t, b, realtime.Pattern("events:"+realtime.Escape(kind)+":"+realtime.Escape("a*[1]")))
	notify(t, b, realtime.Channel(kind, "ab1"), "other")
	notify(t, b, literal, "1")
	want(t, exact, "1")
	want(t, pattern, "1")
}

func TestForeignPayloadsAreCountedAndNotDelivered(t *testing.T) {
	addr := testenv.Redis(t)
	b, channel := open(t, addr), unique(t)
	s := subscribe(t, b, channel)
	raw := foreign(t, addr)
	for _, payload := range []string{"hello", `{"type":"no id"}`} {
		if err := raw.Publish(soon(t), channel, payload).Err(); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	notify(t, b, channel, "1")
	want(t, s, "1")
	if got := b.Undecodable(); got != 2 {
		t.Errorf("Undecodable: got %d, want 2", got)
	}
}

func TestASlowSubscriberIsToldHowMuchItMissed(t *testing.T) {
	b, channel := open(t, testenv.Redis(t), func(c *Config) { c.Buffer = 4 }), unique(t)
	s := subscribe(t, b, channel)
	notify(t, b, channel, "1", "2", "3", "4", "5", "6", "7", "8", "9")
	if err := s.Add(soon(t), channel+"-barrier"); err != nil { // its confirmation comes after them
		t.Fatalf("Add: got %v, want nil", err)
	}
	if got := next(t, s); got.Gap != realtime.GapOverflow || got.Missed != 5 {
		t.Fatalf("got %+v, want an overflow of 5", got)
	}
	want(t, s, "6", "7", "8", "9")
}

func TestInvalidArgumentsAreNamed(t *testing.T) {
	b := open(t, testenv.Redis(t))
	if err := b.Notify(soon(t), realtime.Notification{Channel: "c"}); !errors.Is(err, realtime.ErrInvalid) {
		t.Errorf("Notify without an id: got %v, want ErrInvalid", err)
	}
	if _, err := b.Subscribe(soon(t)); !errors.Is(err, realtime.ErrInvalid) {
		t.Errorf("Subscribe to nothing: got %v, want ErrInvalid", err)
	}
	if _, err := Open(soon(t), Config{Connection: Connection{Addr: "nowhere"}}); err == nil || !strings.Contains(err.Error(), `"addr"`) {
		t.Errorf("Open without a port: got %v, want it to name addr", err)
	}
	if _, err := Open(soon(t), Config{Connection: Connection{Addr: "h:1"}, Buffer: -1}); err == nil {
		t.Error("Open with a negative buffer: got nil, want an error")
	}
}

func TestAfterCloseEverythingIsErrClosedAndNothingRuns(t *testing.T) {
	addr := testenv.Redis(t)
	before := goleak.IgnoreCurrent()
	b, channel := open(t, addr), unique(t)
	s := subscribe(t, b, channel)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Next(context.Background())
		ended <- err
	}()
	for range 2 {
		if err := b.Close(soon(t)); err != nil {
			t.Fatalf("Close: got %v, want nil", err)
		}
	}
	_, subscribeErr := b.Subscribe(soon(t), channel)
	for what, err := range map[string]error{
		"Next":      <-ended,
		"Add":       s.Add(soon(t), "x"),
		"Remove":    s.Remove(soon(t), "x"),
		"Subscribe": subscribeErr,
		"Notify":    b.Notify(soon(t), realtime.Notification{Channel: channel, ID: "1"}),
		"Health":    b.Health(soon(t)),
	} {
		if !errors.Is(err, realtime.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close of the subscription: got %v, want nil", err)
	}
	leaktest.None(t, before)
}
