package middleware_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

func TestWhatFollowsAPoisoningHoldsOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic, topic+".poison")
		appendAll(t, b, topic, event(t, "1", "a"), event(t, "2", "b"), event(t, "3", "a"), event(t, "4", "b"))
		park, stop := poisoning(b), poisoning(b)
		park.After, stop.After = middleware.ParkKey, middleware.Stop
		parking, stopping := testenv.Name(t, "park"), testenv.Name(t, "stop")

		var seen log[string]
		run := process(b, parking, park.Middleware(on1(&seen, always)), topic)
		testenv.Await(t, time.Minute, func() bool { return len(seen.list()) >= 3 }, "the key of 1 waits and the others go on")
		run.end(t)
		if got := seen.list(); slices.Contains(got, "3") || !slices.Contains(got, "4") {
			t.Errorf("park: handled %v, want 1, 2 and 4", got)
		}
		var later log[string]
		run = process(b, parking, park.Middleware(on1(&later, func() bool { return false })), topic)
		testenv.Await(t, time.Minute, func() bool { return slices.Contains(later.list(), "3") }, "the key goes on after the repair")
		run.end(t)
		if got := later.list(); slices.Index(got, "1") < 0 || slices.Index(got, "1") > slices.Index(got, "3") {
			t.Errorf("park, after the repair: handled %v, want 1 before 3", got)
		}

		var stopped log[string]
		err := <-process(b, stopping, stop.Middleware(on1(&stopped, always)), topic).done
		if f := (*middleware.Failure)(nil); !errors.As(err, &f) || slices.Contains(stopped.list(), "3") {
			t.Errorf("stop: got %v after %v, want the Failure and nothing behind it", err, stopped.list())
		}
		if got := ids(replayed(t, b, topic+".poison")); !slices.Equal(got, []string{"1", "1"}) {
			t.Errorf("poisoned %v, want 1 for each group", got)
		}
	})
}

func TestABrokenDeployIsPausedOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		const n, most = 60, 3
		topic := testenv.Name(t, "orders")
		topics(t, b, topic, topic+".poison")
		for i := range n {
			appendAll(t, b, topic, event(t, strconv.Itoa(i), fmt.Sprint("k", i%10)))
		}
		var broken atomic.Bool
		broken.Store(true)
		var seen log[string]
		p := poisoning(b)
		p.PauseAfter, p.ProbeEvery = most, 20*time.Millisecond
		var probes atomic.Int64
		run := processWith(b, testenv.Name(t, "g"), p.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			if broken.Load() {
				probes.Add(1)
				return nil, errHandler
			}
			seen.add(msg.Metadata[durable.MetaID])
			return nil, nil
		}), durable.ProcessOptions{Concurrency: 1}, topic)
		testenv.Await(t, time.Minute, func() bool { return probes.Load() > most+3 && p.Health(t.Context()) != nil }, "paused, and probing")
		if got := len(replayed(t, b, topic+".poison")); got != most {
			t.Errorf("%d events were poisoned, want %d", got, most)
		}
		broken.Store(false)
		testenv.Await(t, time.Minute, func() bool { return len(seen.list()) == n-most }, "the rest is handled")
		run.end(t)
		if err := p.Health(t.Context()); err != nil {
			t.Errorf("health after the pause: %v", err)
		}
	})
}

func TestWhatCannotBeDecodedIsPoisonedWithItsBytesOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic, topic+".poison", topic+".out")
		appendAll(t, b, topic, event(t, "1", "a"))
		never := func(*message.Message) ([]*message.Message, error) { t.Error("handled"); return nil, nil }
		run := process(&garbled{b}, testenv.Name(t, "g"), poisoning(b).Middleware(never), topic)
		testenv.Await(t, time.Minute, func() bool { return len(replayed(t, b, topic+".poison")) == 1 }, "it is poisoned")
		run.end(t)
		c, err := middleware.NewChain(poisoning(b))
		if err != nil {
			t.Fatal(err)
		}
		end := routed(t, &garbled{b}, testenv.Name(t, "r"), topic, topic+".out", c, never)
		testenv.Await(t, time.Minute, func() bool { return len(replayed(t, b, topic+".poison")) == 2 }, "in a router too")
		end()
		for _, r := range replayed(t, b, topic+".poison") {
			if m := r.Message; m.Metadata[middleware.MetaPoisonClass] != middleware.ReasonUndecodable || string(m.Payload) != "data of 1" {
				t.Errorf("payload %q, metadata %v", m.Payload, m.Metadata)
			}
		}
	})
}

func TestKeysWaitInOrderForTheirTiersOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic, topic+".poison")
		appendAll(t, b, topic, event(t, "1", "a"), event(t, "2", "a"), event(t, "3", "b"))
		tiers := &middleware.Tiers{KeepOrder: true, Delays: []time.Duration{20 * time.Millisecond, 40 * time.Millisecond}, Logger: silent}
		var tries atomic.Int64
		var seen log[string]
		run := process(b, testenv.Name(t, "g"), poisoning(b).Middleware(tiers.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			id := msg.Metadata[durable.MetaID]
			if id == "1" && tries.Add(1) < 3 {
				return nil, errHandler
			}
			seen.add(id)
			return nil, nil
		})), topic)
		testenv.Await(t, time.Minute, func() bool { return len(seen.list()) == 3 }, "all are handled")
		run.end(t)
		if got := seen.list(); slices.Index(got, "1") > slices.Index(got, "2") || len(replayed(t, b, topic+".poison")) != 0 {
			t.Errorf("handled %v, want 1 before 2, and nothing poisoned", got)
		}
	})
}
