package redisstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func open(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func event(i int) *message.Message {
	m := message.NewMessage(fmt.Sprint("id-", i), []byte(fmt.Sprint("payload-", i)))
	m.Metadata = message.Metadata{durable.MetaPartitionKey: "k", "n": fmt.Sprint(i)}
	return m
}

func TestTheOriginalReadsWhatAppendStores(t *testing.T) {
	defer leaktest.None(t, goleak.IgnoreCurrent())
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	defer func() { _ = raw.Close() }()
	for _, m := range []Marshaller{nil, original.DefaultMarshallerUnmarshaller{}} {
		b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: m})
		want := event(7)
		ps, err := b.Append(t.Context(), topic, want)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := raw.XRange(t.Context(), topic, string(ps[0]), string(ps[0])).Result()
		if err != nil || len(entries) != 1 {
			t.Fatalf("got %v, %v, want one entry at %s", entries, err, ps[0])
		}
		got, err := original.DefaultMarshallerUnmarshaller{}.Unmarshal(entries[0].Values)
		if err != nil || !got.Equals(want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestConcurrentAppendsAreAllStored(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	var callers sync.WaitGroup
	for c := range 64 {
		callers.Go(func() {
			for i := range 20 {
				if _, err := b.Append(t.Context(), topic, event(100*c+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if n := b.control.XLen(t.Context(), topic).Val(); n != 1280 {
		t.Errorf("got %d entries, want 1280", n)
	}
}

func TestAFrozenServerLeavesUnknownAndNoDuplicates(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}, AppendTimeout: 300 * time.Millisecond})
	put := func(i int) error { _, err := b.Append(t.Context(), "t", event(i)); return err }
	var err error
	var batch *durable.BatchError
	testenv.Await(t, 20*time.Second, func() bool {
		if put(0) != nil {
			return false // there is no connection yet
		}
		r.Freeze()
		err = put(1)
		r.Thaw()
		return !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.NotSent // as where this process stood still
	}, "it is sent")
	if !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.Unknown || !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	n := 0
	for _, r := range records(t, open(t, Config{Connection: Connection{Addr: r.Addr()}}), "t") {
		if r.Message.UUID == event(1).UUID {
			n++
		}
	}
	if n > 1 {
		t.Errorf("got it %d times, want it once at most", n)
	}
}

func TestAWrongTypeIsRejected(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	if err := b.control.Set(t.Context(), topic, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Append(t.Context(), topic, event(1))
	var batch *durable.BatchError
	if !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.Rejected {
		t.Errorf("got %v, want a rejection", err)
	}
}

func TestAfterCloseEverythingIsClosed(t *testing.T) {
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	if err := errors.Join(b.Close(t.Context()), b.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := b.Append(t.Context(), "t", event(1)); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func BenchmarkAppend100(b *testing.B) {
	backend := open(b, Config{Connection: Connection{Addr: testenv.Redis(b)}, MaxLen: 1000})
	topic := testenv.Name(b, "t")
	msgs := make([]*message.Message, 100)
	for i := range msgs {
		msgs[i] = event(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := backend.Append(b.Context(), topic, msgs...); err != nil {
			b.Fatal(err)
		}
	}
}

// TestADialThatTakesTooLongIsUnavailable tells the time of a dial from that of the caller.
func TestADialThatTakesTooLongIsUnavailable(t *testing.T) {
	late := fmt.Errorf("dial: %w", context.DeadlineExceeded)
	if err := unsent(t.Context(), late); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unsent(ctx, late); errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want that of the caller", err)
	}
}
