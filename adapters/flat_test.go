package adapters_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	flatCallers = 200
	flatPayload = 64 << 10
	flatEvents  = 256
	flatBytes   = 4 << 20 // in flight; they bound before the events do
	flatSlack   = 8 << 20 // bytes of memory for all else
	flatSoon    = time.Minute
)

// TestMemoryIsFlatAgainstABrokerThatAcceptsNothing has hundreds of callers publish to a server that was stopped, give up
// and try again. What they had is let go when they leave: neither memory nor goroutines grow, and when the server goes on
// so does publishing. It must not run beside others, whose memory it would see.
func TestMemoryIsFlatAgainstABrokerThatAcceptsNothing(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	t.Run("redisstream", func(t *testing.T) {
		server := testenv.StartRedis(t, testenv.RedisOptions{})
		b, err := redisstream.Open(t.Context(), redisstream.Config{
			Connection: redisstream.Connection{Addr: server.Addr()}, Logger: quiet,
		})
		checked(t, err)
		press(t, b, b, server.Server)
	})
	t.Run("kafka", func(t *testing.T) {
		server := testenv.StartKafka(t, testenv.KafkaOptions{})
		b, err := kafka.Open(t.Context(), kafka.Config{Brokers: server.Brokers(), Logger: quiet})
		checked(t, err)
		press(t, b, b, server.Node(1).Server)
	})
}

// pressure is callers that publish to a server that takes nothing.
type pressure struct {
	p       *durable.Publisher
	topics  [2]string // the backend has appended to the first before
	ids     atomic.Int64
	stored  sync.Map // ids that were acknowledged
	refused atomic.Int64
	expired atomic.Int64
	strange atomic.Pointer[string] // an error that is neither, nor ErrUnavailable
}

func press(t *testing.T, b durable.Backend, admin durable.Administrator, server *testenv.Server) {
	t.Cleanup(func() { checked(t, b.Close(context.Background())) })
	s := &pressure{topics: [2]string{"known", "unknown"}}
	for _, topic := range s.topics {
		checked(t, admin.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4}))
	}
	var err error
	s.p, err = durable.NewPublisher(b, durable.PublisherOptions{
		MaxInFlight: flatEvents, MaxInFlightBytes: flatBytes, Wait: 30 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	checked(t, err)
	for range 20 {
		checked(t, s.publish(t.Context(), s.topics[0], flatSoon))
	}
	heap, goroutines := live()
	server.Freeze()
	defer server.Thaw()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	for i := range flatCallers {
		callers.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				topic := s.topics[0]
				if n%8 == 0 {
					topic = s.topics[1]
				}
				_ = s.publish(ctx, topic, time.Duration(20+n%80)*time.Millisecond) // counted
			}
		})
	}
	for range 8 {
		<-time.After(250 * time.Millisecond)
		s.bounded(t, "while callers come and go", heap+flatCallers*flatPayload+4*flatBytes+flatSlack, goroutines+flatCallers+50)
	}
	stop()
	callers.Wait()
	s.bounded(t, "when all have left", heap+2*flatBytes+flatSlack, goroutines+50)
	s.counted(t)
	server.Thaw()
	for _, topic := range s.topics {
		testenv.Await(t, flatSoon, func() bool { return s.publish(t.Context(), topic, flatSoon) == nil }, "publishing goes on")
	}
	s.complete(t, b)
}

// publish appends an event of its own memory and counts the outcome.
func (s *pressure) publish(ctx context.Context, topic string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m := message.NewMessage(fmt.Sprint("e", s.ids.Add(1)), make([]byte, flatPayload))
	m.Metadata[durable.MetaPartitionKey] = m.UUID
	_, err := s.p.Append(ctx, topic, m)
	switch {
	case err == nil:
		s.stored.Store(m.UUID, true)
	case errors.Is(err, durable.ErrBackpressure):
		s.refused.Add(1)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		s.expired.Add(1)
	case !errors.Is(err, durable.ErrUnavailable):
		text := err.Error()
		s.strange.Store(&text)
	}
	return err
}

// bounded holds what is in use now against bounds.
func (s *pressure) bounded(t *testing.T, when string, heap uint64, goroutines int) {
	t.Helper()
	bytes, n := live()
	if bytes > heap {
		t.Errorf("%s: %d bytes of memory in use, want at most %d", when, bytes, heap)
	}
	if n > goroutines {
		t.Errorf("%s: %d goroutines, want at most %d", when, n, goroutines)
	}
	if in := s.p.Stats(); in.InFlight > flatEvents || in.InFlightBytes > flatBytes {
		t.Errorf("%s: in flight are %+v, want at most %d events and %d bytes", when, in, flatEvents, flatBytes)
	}
}

// counted wants callers to have been told by both errors, and by no other.
func (s *pressure) counted(t *testing.T) {
	t.Helper()
	if s.refused.Load() == 0 || s.expired.Load() == 0 {
		t.Errorf("%d calls ended by ErrBackpressure and %d by their context, want some of both", s.refused.Load(), s.expired.Load())
	}
	if text := s.strange.Load(); text != nil {
		t.Errorf("a call ended by %s", *text)
	}
}

// complete wants everything that was acknowledged to be stored.
func (s *pressure) complete(t *testing.T, b durable.Backend) {
	t.Helper()
	for _, topic := range s.topics {
		for r, err := range b.Replay(t.Context(), topic, durable.Range{}) {
			checked(t, err)
			s.stored.Delete(r.Message.UUID)
		}
	}
	s.stored.Range(func(id, _ any) bool {
		t.Errorf("%s was acknowledged and is missing", id)
		return true
	})
}

// live is what memory and how many goroutines are in use. Of a few readings it is the least: others allocate meanwhile.
func live() (heap uint64, goroutines int) {
	for i := range 3 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if n := runtime.NumGoroutine(); i == 0 || n < goroutines {
			goroutines = n
		}
		if i == 0 || m.HeapAlloc < heap {
			heap = m.HeapAlloc
		}
	}
	return heap, goroutines
}

func checked(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
