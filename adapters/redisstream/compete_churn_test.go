package redisstream

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestMembersThatComeAndGoHandleEverythingOnce has 60 members, or 200 in a soak, join and leave in order, some at a time,
// none before all of them have joined.
func TestMembersThatComeAndGoHandleEverythingOnce(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: time.Minute})
	const total, generations = 3000, 10
	side := 6
	if soaking() {
		side = 20
	}
	var h durabletest.History
	for i := range total {
		h.Appended("k", event(i).UUID)
	}
	member := func(ctx context.Context, name string) {
		err := durable.Process(ctx, b, competing(topic, name), func(m *message.Message) error {
			h.Started(name, "k", m.UUID)()
			return nil
		}, durable.ProcessOptions{Concurrency: 3})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw := client(t, addr)
	joined := func(g int) (n int) {
		for _, c := range raw.XInfoConsumers(t.Context(), topic, "g").Val() {
			if strings.HasPrefix(c.Name, fmt.Sprint("m", g, "-")) {
				n++
			}
		}
		return n
	}
	for g := range generations {
		ctx, stop := context.WithCancel(t.Context())
		var members sync.WaitGroup
		for i := range side {
			members.Go(func() { member(ctx, fmt.Sprint("m", g, "-", i)) })
		}
		testenv.Await(t, time.Minute, func() bool { return joined(g) == side }, "every member has joined")
		store(t, b, topic, g*total/generations, (g+1)*total/generations)
		if g < generations-1 {
			stop() // with much of it unread, read ahead or at work
		} else {
			testenv.Await(t, time.Minute, func() bool {
				lag, err := b.Lag(t.Context(), "g", topic)
				return err == nil && lag[0].Lag == 0 && lag[0].Pending == 0
			}, "everything is acknowledged")
		}
		stop()
		members.Wait()
	}
	if err := h.Check(durabletest.Promise{Once: true}).Err(); err != nil {
		t.Error(err)
	}
	if cs := raw.XInfoConsumers(t.Context(), topic, "g").Val(); len(cs) > 0 {
		t.Errorf("got %+v, want nobody left behind", cs)
	}
}
