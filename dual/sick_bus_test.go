package dual_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/redispubsub"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

const patience = time.Minute

// sickness is a fault of the real-time bus.
type sickness struct {
	name   string
	strike func(s *sickBus)
	heal   func(s *sickBus)
	limit  time.Duration                     // of an exchange with the bus; an hour: who waited for it would not return
	counts func(d realtime.DropStats) bool   // whether what was dropped is counted under every reason that there is
	rest   func(d realtime.DropStats) uint64 // what is counted under reasons that there are not
}

var (
	overflows = func(d realtime.DropStats) bool { return d.Overflow > 0 }
	noOther   = func(d realtime.DropStats) uint64 { return d.Total() - d.Overflow }
	timesOut  = func(d realtime.DropStats) bool { return d.Timeout > 0 && d.Breaker > 0 }
	fails     = func(d realtime.DropStats) bool { return d.Error > 0 && d.Breaker > 0 }
	noTimeout = func(d realtime.DropStats) uint64 { return d.Error + d.Coalesced + d.Closed + d.Invalid }
	noFailure = func(d realtime.DropStats) uint64 { return d.Timeout + d.Coalesced + d.Closed + d.Invalid }
)

const quick = 200 * time.Millisecond

var sicknesses = []sickness{
	{"frozen, and waited for", freeze, thaw, time.Hour, overflows, noOther},
	{"frozen", freeze, thaw, quick, timesOut, noTimeout},
	{"behind a delay of 2 s, and waited for", delay, restore, time.Hour, overflows, noOther},
	{"behind a delay of 2 s", delay, restore, quick, timesOut, noTimeout},
	{
		"killed and restarted", func(s *sickBus) { s.server.Kill() }, func(s *sickBus) { s.server.Restart() },
		patience, fails, noFailure,
	},
	{"answering OOM", answer("OOM command not allowed when used memory > 'maxmemory'."), answer(""), patience, fails, noFailure},
	{"answering READONLY", answer("READONLY You can't write against a read only replica."), answer(""), patience, fails, noFailure},
}

func freeze(s *sickBus)  { s.server.Freeze() }
func thaw(s *sickBus)    { s.server.Thaw() }
func delay(s *sickBus)   { s.server.Proxy().Delay(2 * time.Second) }
func restore(s *sickBus) { s.server.Proxy().Restore() }

func answer(refusal string) func(*sickBus) { return func(s *sickBus) { s.front.refuse(refusal) } }

// TestPublishingGoesOnAsBeforeWhateverTheBusSuffers publishes to a stream that is well and announces on a Redis that is
// not. Every call stores and returns while the fault lasts, what is dropped is counted under its reason, and the same
// publisher announces again when the fault is over.
func TestPublishingGoesOnAsBeforeWhateverTheBusSuffers(t *testing.T) {
	for _, fault := range sicknesses {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := newSickBus(t, fault.limit)
			s.announces("before")
			fault.strike(s)
			testenv.Await(t, patience, func() bool {
				s.publish("during", 500)
				return fault.counts(s.p.Stats().Bus.Dropped)
			}, "what is dropped is counted by its reasons")
			dropped := s.p.Stats().Bus.Dropped
			if n := fault.rest(dropped); n != 0 {
				t.Errorf("%d are counted under reasons that there are not: %+v", n, dropped)
			}
			fault.heal(s)
			s.announces("after")
			s.settle()
		})
	}
}

// TestARedisThatRefusesWritesStillAnnounces has a server out of memory and one that is a replica: neither refuses PUBLISH,
// so that what is published arrives there as before.
func TestARedisThatRefusesWritesStillAnnounces(t *testing.T) {
	for _, refusal := range []struct {
		text string
		do   func(s *sickBus, redis *redis.Client) error
	}{
		{"OOM", func(s *sickBus, redis *redis.Client) error {
			return redis.ConfigSet(s.t.Context(), "maxmemory", "1").Err()
		}},
		{"READONLY", func(s *sickBus, redis *redis.Client) error {
			host, port, err := net.SplitHostPort(testenv.StartRedis(s.t, testenv.RedisOptions{}).Addr())
			return errors.Join(err, redis.ReplicaOf(s.t.Context(), host, port).Err())
		}},
	} {
		t.Run(refusal.text, func(t *testing.T) {
			t.Parallel()
			s := newSickBus(t, patience)
			client := s.server.Client()
			if err := refusal.do(s, client); err != nil {
				t.Fatal(err)
			}
			if err := client.Set(t.Context(), "a", "b", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), refusal.text) {
				t.Fatalf("a write: got %v, want %s", err, refusal.text)
			}
			s.announces("refused")
			s.publish("more", 500)
			if n := noOther(s.p.Stats().Bus.Dropped); n != 0 {
				t.Errorf("%d are not announced: %+v", n, s.p.Stats().Bus)
			}
			s.settle()
		})
	}
}

// sickBus is a publisher to a stream in memory and to a real Redis, and who listens there.
type sickBus struct {
	t      *testing.T
	server *testenv.RedisServer
	front  *front // in front of the server
	p      *dual.Publisher
	stream durable.Backend
	heard  chan string // ids
	sent   map[string]bool
}

func newSickBus(t *testing.T, limit time.Duration) *sickBus {
	s := &sickBus{
		t: t, server: testenv.StartRedis(t, testenv.RedisOptions{Proxied: true}),
		stream: memoryStream(t), heard: make(chan string, 1024), sent: map[string]bool{},
	}
	s.front = newFront(t, s.server.Addr())
	s.p = newPublisher(t, s.stream, s.open(s.front.addr()), dual.Options{
		Dispatcher: realtime.DispatcherOptions{Queue: 64, Timeout: limit, BackoffMax: quick},
		Logger:     slog.New(slog.DiscardHandler),
	})
	bus := s.open(s.server.DirectAddr())
	var sub realtime.Subscription
	testenv.Await(t, patience, func() bool { // a server that stands still when it is probed so early counts as gone
		var err error
		sub, err = bus.Subscribe(t.Context(), realtime.Channel("thing", "a"))
		return err == nil
	}, "a subscription")
	go s.listen(sub) // ends when its backend is closed
	return s
}

func (s *sickBus) open(addr string) *redispubsub.Backend {
	s.t.Helper()
	b, err := redispubsub.Open(s.t.Context(), redispubsub.Config{
		Connection:    redispubsub.Connection{Addr: addr},
		NotifyTimeout: time.Hour, ProbeIdle: quick, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			s.t.Error(err)
		}
	})
	return b
}

func (s *sickBus) listen(sub realtime.Subscription) {
	defer close(s.heard)
	for {
		got, err := sub.Next(context.Background())
		if err != nil {
			return
		}
		if got.Gap == realtime.GapNone {
			s.heard <- got.Notification.ID
		}
	}
}

// publish stores n events one by one, or four at once, and fails the test where a call does not store, or waits.
func (s *sickBus) publish(prefix string, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for n > 0 {
		events := make([]durable.Event, min(n, 1+3*(n%2)))
		for i := range events {
			events[i] = event("a")
			events[i].ID = fmt.Sprint(prefix, len(s.sent))
			s.sent[events[i].ID] = true
		}
		receipts, err := s.p.Publish(ctx, events...)
		if err != nil || ctx.Err() != nil {
			s.t.Fatalf("%d events before the end: got %v, %v, want them stored without waiting for the bus", n, err, ctx.Err())
		}
		for _, r := range receipts {
			if r.Status != durable.Stored || r.Position == "" {
				s.t.Fatalf("got %+v, want it stored", r)
			}
		}
		n -= len(events)
	}
}

// announces publishes until something of it is heard.
func (s *sickBus) announces(prefix string) {
	s.t.Helper()
	testenv.Await(s.t, patience, func() bool {
		s.publish(prefix, 1)
		for {
			select {
			case id := <-s.heard:
				if !s.sent[id] {
					s.t.Errorf("heard of %q, which was not published", id)
				}
				if strings.HasPrefix(id, prefix) {
					return true
				}
			default:
				return false
			}
		}
	}, "what is published as "+prefix+" is heard of")
}

// settle closes the publisher and counts.
func (s *sickBus) settle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.p.Close(ctx); err != nil {
		s.t.Errorf("Close: got %v, want nil", err)
	}
	inStream, stats, all := stored(s.t, s.stream, "events"), s.p.Stats(), uint64(len(s.sent))
	for id := range s.sent {
		if !inStream[id] {
			s.t.Errorf("%s was acknowledged and is not stored", id)
		}
	}
	if n := uint64(len(inStream)); n != all || stats.Store.Stored != all || stats.Store.Failed+stats.Store.Refused != 0 {
		s.t.Errorf("%d of %d are stored; counted: %+v", n, all, stats.Store)
	}
	if b := stats.Bus; b.Dispatched != all || b.Dispatched != b.Sent+b.Dropped.Total() || b.Sent == 0 {
		s.t.Errorf("got %+v, want %d, each sent or dropped for a reason", b, all)
	}
}
