package redisstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// followed is a group whose events survive a failover.
type followed struct {
	t       *testing.T
	b       *Backend
	topic   string
	history durabletest.History
}

// openSoon is open where a command has so little time that the server may be too late.
func openSoon(t *testing.T, cfg Config) *Backend {
	t.Helper()
	var b *Backend
	var err error
	defer func() {
		if err != nil {
			t.Log(err)
		}
	}()
	testenv.Await(t, time.Minute, func() bool { b, err = Open(t.Context(), cfg); return err == nil }, "the server answers in time")
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// lateJoin is a backend whose members join as soon as the server answers in time. What comes then is left to Process.
type lateJoin struct{ *Backend }

var errNotJoined = errors.New("left before it joined")

func (b lateJoin) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	for {
		c, err := b.Backend.Consume(ctx, g)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, errNotJoined
		}
		if !errors.Is(err, durable.ErrUnavailable) {
			return nil, err
		}
		pauseFor(ctx, 100*time.Millisecond)
	}
}

// process is durable.Process of a member that is patient while it joins, and then no more than any other.
func process(ctx context.Context, b *Backend, g durable.Group, h message.NoPublishHandlerFunc) error {
	err := durable.Process(ctx, lateJoin{b}, g, h, durable.ProcessOptions{})
	if errors.Is(err, errNotJoined) {
		return nil
	}
	return err
}

// newFollowed has a member of a group consume until the test ends.
func newFollowed(t *testing.T, b *Backend, ordering durable.Ordering) *followed {
	f := &followed{t: t, b: b, topic: testenv.Name(t, "t")}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	g := competing(f.topic, "m")
	g.Ordering = ordering
	go func() {
		ended <- process(ctx, b, g, func(m *message.Message) error {
			f.history.Started("m", "k", m.UUID)()
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

// send appends event i until it is known to be stored.
func (f *followed) send(i int) {
	f.t.Helper()
	var err error
	m := event(i)
	testenv.Await(f.t, time.Minute, func() bool {
		if _, err = f.b.Append(f.t.Context(), f.topic, m); err != nil {
			f.history.Uncertain(m.UUID)
		}
		return err == nil || !errors.Is(err, durable.ErrUnavailable)
	}, fmt.Sprint("event ", i, " is stored"))
	must(f.t, err)
	f.history.Appended("k", m.UUID)
}

// TestAFailoverLosesNothingThatAReplicaHad has a master killed between appends and handlers, in a soak its follower, too.
// MinReplicas makes an append that only the master has Unknown; it is appended again, by the same id.
func TestAFailoverLosesNothingThatAReplicaHad(t *testing.T) {
	t.Parallel()
	s := testenv.StartSentinel(t)
	conn := Connection{
		Sentinel: Sentinel{Addrs: s.Addrs(), Master: s.MasterName()},
		Timeout:  time.Second, DialTimeout: time.Second,
	}
	b := openSoon(t, Config{Connection: conn, AppendTimeout: time.Second, MinReplicas: 1})
	groups := []*followed{newFollowed(t, b, durable.None), newFollowed(t, b, durable.PerKey)}
	faults := 1
	if soaking() {
		faults = 2
	}
	send := func(from, to int) {
		for i := from; i < to; i++ {
			for _, f := range groups {
				f.send(i)
			}
		}
	}
	send(0, 100)
	for i := range faults {
		s.Failover()
		s.Replica().Restart() // as a replica of the new master, so that appends are acknowledged again
		send(100*(i+1), 100*(i+2))
	}
	for _, f := range groups {
		testenv.Await(t, time.Minute, func() bool { return f.history.Check(durabletest.Promise{}).Err() == nil }, "everything is handled: "+f.topic)
	}
}
