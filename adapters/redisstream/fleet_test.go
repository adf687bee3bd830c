package redisstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// soaking tells whether long checks run.
func soaking() bool { return os.Getenv("DUALSTREAM_SOAK") == "1" }

// fleet is a group of members in this process, with Ordering PerKey unless ordering says otherwise, and what they did.
type fleet struct {
	t        *testing.T
	cfg      Config
	topic    string
	ordering durable.Ordering
	work     time.Duration // of a handler
	wide     int           // handlers of a member
	history  durabletest.History
	handled  sync.Map // ids whose handler returned nil
	sent     []string
	quit     chan struct{} // closed: handlers fail at once
	cutOff   atomic.Int64  // handlers whose context ended
	active   atomic.Int64  // handlers that run

	mu      sync.Mutex
	running map[string][]*running // by key
}

// running is a handler that has begun.
type running struct {
	claim  *durable.Claim
	finish func() // in the history
}

// newFleet makes a topic of n partitions at addr.
func newFleet(t *testing.T, addr string, n int, ttl time.Duration) *fleet {
	f := &fleet{t: t, cfg: Config{Connection: Connection{Addr: addr}, LeaseTTL: ttl}, topic: testenv.Name(t, "t"), work: time.Millisecond, wide: 4, quit: make(chan struct{})}
	if err := open(t, f.cfg).CreateTopic(t.Context(), durable.TopicSpec{Name: f.topic, Partitions: n}); err != nil {
		t.Fatal(err)
	}
	return f
}

// member joins and returns how to leave in order.
func (f *fleet) member(name string, change ...func(*Backend)) (leave func()) {
	f.t.Helper()
	b := open(f.t, f.cfg)
	for _, c := range change {
		c(b)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	g := durable.Group{Name: "g", Member: name, Topics: durable.Topics(f.topic), Ordering: f.ordering}
	go func() {
		ended <- durable.Process(ctx, b, g, f.handler(name), durable.ProcessOptions{Concurrency: f.wide, FetchSize: 20})
	}()
	var once sync.Once
	leave = func() {
		once.Do(func() {
			stop()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) { // which is left before it joined
				f.t.Errorf("member %s: %v", name, err)
			}
			_ = b.Close(context.Background())
		})
	}
	f.t.Cleanup(leave)
	return leave
}

func (f *fleet) handler(member string) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		finish := f.started(member, m)
		if finish == nil {
			return errors.New("the claim was lost before")
		}
		defer finish()
		f.active.Add(1)
		defer f.active.Add(-1)
		timer := time.NewTimer(f.work)
		defer timer.Stop()
		select {
		case <-timer.C:
			f.handled.Store(m.UUID, true)
			return nil
		case <-f.quit:
			return errors.New("the test is over")
		case <-m.Context().Done():
			f.cutOff.Add(1)
			return m.Context().Err()
		}
	}
}

// started notes that a handler begins; nil where its claim was lost on the way, because its goroutine stood still. Handlers
// whose claims are lost count as ended: those that stand still cannot heed their contexts in time.
func (f *fleet) started(member string, m *message.Message) (finish func()) {
	d, _ := durable.DeliveryOf(m.Context())
	key := f.key(m)
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.Claim.Lost() {
		return nil
	}
	for _, other := range f.running[key] {
		if other.claim.Lost() {
			other.finish()
		}
	}
	r := &running{d.Claim, f.history.Started(member, key, m.UUID)}
	if f.running == nil {
		f.running = map[string][]*running{}
	}
	f.running[key] = append(f.running[key], r)
	return func() {
		r.finish()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running[key] = slices.DeleteFunc(f.running[key], func(o *running) bool { return o == r })
	}
}

// key is of what two members must not handle something side by side: events that compete are each their own.
func (f *fleet) key(m *message.Message) string {
	if f.ordering == durable.None {
		return m.UUID
	}
	return durable.Key(m)
}

// publish appends n events of 16 keys in batches.
func (f *fleet) publish(b *Backend, n int) {
	f.t.Helper()
	for n > 0 {
		msgs := make([]*message.Message, min(n, 50))
		for i := range msgs {
			id := fmt.Sprintf("e%d", len(f.sent)+i)
			msgs[i] = message.NewMessage(id, nil)
			msgs[i].Metadata = message.Metadata{durable.MetaPartitionKey: fmt.Sprintf("k%d", (len(f.sent)+i)%16)}
		}
		if _, err := b.Append(soon(f.t), f.topic, msgs...); err != nil {
			f.t.Fatal(err)
		}
		for _, m := range msgs {
			f.history.Appended(f.key(m), m.UUID)
			f.sent = append(f.sent, m.UUID)
		}
		n -= len(msgs)
	}
}

// judge waits until everything is handled and holds the history against p.
func (f *fleet) judge(b *Backend, p durabletest.Promise) {
	f.t.Helper()
	testenv.Await(f.t, 2*time.Minute, func() bool {
		for _, id := range f.sent {
			if _, ok := f.handled.Load(id); !ok {
				return false
			}
		}
		return true
	}, "every event is handled")
	testenv.Await(f.t, time.Minute, func() bool {
		lag, err := b.Lag(f.t.Context(), "g", f.topic)
		for _, l := range lag {
			if err != nil || l.Lag != 0 || l.Pending != 0 {
				return false
			}
		}
		return err == nil
	}, "every event is committed")
	if err := f.history.Check(p).Err(); err != nil {
		f.t.Error(err)
	}
}

// calm is a lease that is kept where a machine stands still for a while: what is handled twice is then a fault.
const calm = 20 * time.Second

// orderly is the promise where nobody dies and nothing breaks.
var orderly = durabletest.Promise{Once: true, Ordered: true, Exclusive: true}

// broken is the promise where members die or the server breaks.
var broken = durabletest.Promise{Ordered: true, Exclusive: true}

// contextOf ends with the test or by stop.
func contextOf(t *testing.T) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(stop)
	return ctx, stop
}
