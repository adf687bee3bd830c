package durable_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// broken is a memory backend whose following replays can be made to fail.
type broken struct {
	*memory.Backend
	mu      sync.Mutex
	fail    error                     // of a replay that begins
	ending  []context.CancelCauseFunc // of replays that run
	replays []durable.Range           // that followed
}

func (b *broken) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	if !r.Follow {
		return b.Backend.Replay(ctx, topic, r)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	b.mu.Lock()
	fail := b.fail
	b.ending = append(b.ending, cancel)
	b.replays = append(b.replays, r)
	b.mu.Unlock()
	records := b.Backend.Replay(ctx, topic, r)
	return func(yield func(durable.Record, error) bool) {
		defer cancel(nil)
		if fail != nil {
			yield(durable.Record{}, fail)
			return
		}
		for rec, err := range records {
			if cause := context.Cause(ctx); err != nil && cause != nil {
				err = cause
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// breaks ends all following replays, and lets none begin while err is not nil.
func (b *broken) breaks(with, later error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = later
	for _, end := range b.ending {
		end(with)
	}
	b.ending = nil
}

func (b *broken) followed() []durable.Range {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.replays)
}

// plain hides the optional abilities of a backend.
type plain struct{ durable.Backend }

func newBroken(t testing.TB, partitions int) *broken {
	t.Helper()
	b, err := memory.New(memory.Config{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return &broken{Backend: b}
}

func newReader(t testing.TB, b durable.Backend, o durable.ReaderOptions) *durable.Reader {
	t.Helper()
	o.Backoff = func(int, error) time.Duration { return time.Millisecond }
	r, err := durable.NewReader(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func subscribe(t testing.TB, r *durable.Reader, o durable.SubscribeOptions) *durable.Subscription {
	t.Helper()
	s, err := r.Subscribe(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, b durable.Backend, topic string, ids ...string) []durable.Position {
	t.Helper()
	var msgs []*message.Message
	for _, id := range ids {
		msg := message.NewMessage(id, []byte(id))
		msg.Metadata[durable.MetaPartitionKey] = id
		msg.Metadata[durable.MetaType] = strings.TrimRight(id, "0123456789")
		msgs = append(msgs, msg)
	}
	ps, err := b.Append(t.Context(), topic, msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func shortly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// wants reads as many records as there are ids, and compares them, in any order.
func wants(t testing.TB, s *durable.Subscription, ids ...string) {
	t.Helper()
	var got []string
	for range ids {
		rec, err := s.Next(shortly(t))
		if err != nil {
			t.Fatalf("after %v: got %v, want %v", got, err, ids)
		}
		got = append(got, rec.Message.UUID)
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Fatalf("got %v, want %v", got, ids)
	}
}
