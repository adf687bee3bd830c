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

// TestAFailoverLosesNothingThatAReplicaHad has a master killed between appends and handlers. MinReplicas makes an
// append that only the master has Unknown; it is appended again, by the same id.
func TestAFailoverLosesNothingThatAReplicaHad(t *testing.T) {
	s := testenv.StartSentinel(t)
	conn := Connection{
		Sentinel: Sentinel{Addrs: s.Addrs(), Master: s.MasterName()},
		Timeout:  time.Second, DialTimeout: time.Second,
	}
	b := open(t, Config{Connection: conn, AppendTimeout: time.Second, MinReplicas: 1})
	for name, ordering := range map[string]durable.Ordering{"competing": durable.None, "ordered": durable.PerKey} {
		var h durabletest.History
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		g := competing("t-"+name, "m")
		g.Ordering = ordering
		go func() {
			ended <- durable.Process(ctx, b, g, func(m *message.Message) error {
				h.Started("m", "k", m.UUID)()
				return nil
			}, durable.ProcessOptions{})
		}()
		send := func(i int) {
			var err error
			m := event(i)
			testenv.Await(t, time.Minute, func() bool {
				if _, err = b.Append(t.Context(), "t-"+name, m); err != nil {
					h.Uncertain(m.UUID)
				}
				return err == nil || !errors.Is(err, durable.ErrUnavailable)
			}, fmt.Sprint("event ", i, " is stored"))
			if err != nil {
				t.Fatal(err)
			}
			h.Appended("k", m.UUID)
		}
		for i := range 100 {
			send(i)
		}
		s.Failover()
		s.Replica().Restart() // as a replica of the new master, so that appends are acknowledged again
		for i := 100; i < 200; i++ {
			send(i)
		}
		testenv.Await(t, time.Minute, func() bool { return h.Check(durabletest.Promise{}).Err() == nil }, "everything is handled: "+name)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
