package durable_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
)

func fromWatermill(t testing.TB, w durable.Watermill) durable.Backend {
	t.Helper()
	b, err := durable.FromWatermill(w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Close", b.Close) })
	return b
}

// within fails the test unless f returns nil in time.
func within(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Errorf("%s: got %v, want nil", what, err)
	}
}

// A GoChannel knows no groups: it takes what is appended, and refuses the rest.
func TestAGoChannelIsABackendForWhatItCan(t *testing.T) {
	var topics atomic.Int64 // checks run side by side
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend {
			pub := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
			return fromWatermill(t, durable.Watermill{Name: "gochannel", Publisher: pub, Close: pub.Close})
		},
		NewTopic: func(testing.TB, int) string {
			return "topic-" + strconv.FormatInt(topics.Add(1), 10)
		},
	})
}

func TestWhatAPubSubLacksIsRefusedByName(t *testing.T) {
	pub := &failing{}
	some := func(durable.Group) (message.Subscriber, error) { return nil, errors.New("not asked for") }
	g := func(o durable.Ordering, s durable.Start) durable.Group {
		return durable.Group{Name: "g", Topics: durable.Topics("t"), Ordering: o, Start: s}
	}
	for what, c := range map[string]struct {
		w durable.Watermill
		g durable.Group
	}{
		"groups":        {durable.Watermill{}, g(durable.None, durable.Oldest())},
		"order per key": {durable.Watermill{Subscriber: some}, g(durable.PerKey, durable.Oldest())},
		"a start at the newest message": {
			durable.Watermill{Subscriber: some, OldestOnly: true}, g(durable.None, durable.Newest()),
		},
		"a start at a position or time": {
			durable.Watermill{Subscriber: some, Ordered: true}, g(durable.PerKey, durable.At(time.Unix(1, 0))),
		},
	} {
		c.w.Name, c.w.Publisher = "mine", pub
		_, err := fromWatermill(t, c.w).Consume(t.Context(), c.g)
		if want := "mine: " + what + ": unsupported"; !errors.Is(err, durable.ErrUnsupported) || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	if _, err := durable.FromWatermill(durable.Watermill{}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("no publisher: got %v, want ErrInvalid", err)
	}
}

// failing fails from the message at on, and blocks there where block is set.
type failing struct {
	mu        sync.Mutex
	published []string
	calls     int
	at        int // 0: never
	block     chan struct{}
	began     chan struct{} // closed when it blocks
}

var errBroker = errors.New("broker down")

func (f *failing) Publish(_ string, msgs ...*message.Message) error {
	f.mu.Lock()
	f.calls++
	n := len(f.published) + len(msgs)
	if f.at > 0 && n >= f.at {
		block := f.block
		f.mu.Unlock()
		if block != nil {
			close(f.began)
			<-block
		}
		return errBroker
	}
	defer f.mu.Unlock()
	for _, m := range msgs {
		f.published = append(f.published, m.UUID)
		m.Payload[0], m.Metadata["theirs"] = '!', "x"
	}
	return nil
}

func (f *failing) Close() error { return nil }

func numbered(n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(strconv.Itoa(i), []byte("payload"))
	}
	return msgs
}

func statuses(t *testing.T, err error) []durable.Status {
	t.Helper()
	var batch *durable.BatchError
	if !errors.As(err, &batch) {
		t.Fatalf("got %v, want a *BatchError", err)
	}
	out := make([]durable.Status, len(batch.Outcomes))
	for i, o := range batch.Outcomes {
		if out[i] = o.Status; (o.Err == nil) != (o.Status == durable.Stored) {
			t.Errorf("message %d is %v with error %v", i, o.Status, o.Err)
		}
	}
	return out
}

func TestAFailedPublishLeavesOneMessageUnknown(t *testing.T) {
	pub := &failing{at: 3}
	b := fromWatermill(t, durable.Watermill{Publisher: pub})
	msgs := numbered(4)
	_, err := b.Append(t.Context(), "t", msgs...)
	want := []durable.Status{durable.Stored, durable.Stored, durable.Unknown, durable.NotSent}
	if got := statuses(t, err); !slices.Equal(got, want) || !errors.Is(err, errBroker) || pub.calls != 3 {
		t.Errorf("got %v, %v and %d calls, want %v", got, err, pub.calls, want)
	}
	if string(msgs[0].Payload) != "payload" || len(msgs[0].Metadata) != 0 {
		t.Errorf("the publisher could change the caller's message: %+v", msgs[0])
	}
}

func TestAFailedPublishOfABatchLeavesAllUnknown(t *testing.T) {
	pub := &failing{at: 3}
	b := fromWatermill(t, durable.Watermill{Publisher: pub, WholeBatches: true})
	_, err := b.Append(t.Context(), "t", numbered(4)...)
	want := slices.Repeat([]durable.Status{durable.Unknown}, 4)
	if got := statuses(t, err); !slices.Equal(got, want) || pub.calls != 1 {
		t.Errorf("got %v and %d calls, want %v", got, pub.calls, want)
	}
}

func TestAnAppendEndsWithItsContextAndSendsNothingMore(t *testing.T) {
	pub := &failing{at: 2, block: make(chan struct{}), began: make(chan struct{})}
	b := fromWatermill(t, durable.Watermill{Publisher: pub})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-pub.began
		cancel()
	}()
	_, err := b.Append(ctx, "t", numbered(3)...)
	want := []durable.Status{durable.Stored, durable.Unknown, durable.NotSent}
	if got := statuses(t, err); !slices.Equal(got, want) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	short, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	if err := b.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close while a publish does not end: got %v, want its context's error", err)
	}
	close(pub.block)
	within(t, "Close", b.Close)
	if pub.calls != 2 {
		t.Errorf("got %d calls, want 2: nothing is sent after the caller has gone", pub.calls)
	}
}

type panicking struct{ failing }

func (*panicking) Publish(string, ...*message.Message) error { panic("oops") }

func TestAPanicOfThePublisherIsAnError(t *testing.T) {
	b := fromWatermill(t, durable.Watermill{Publisher: &panicking{}})
	if _, err := b.Append(t.Context(), "t", numbered(1)...); statuses(t, err)[0] != durable.Unknown {
		t.Errorf("got %v", err)
	}
}
