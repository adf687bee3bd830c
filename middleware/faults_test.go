package middleware_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

func TestWhatCannotBePublishedIsRetriedAndPoisonedAndNothingSpinsOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		for name, begin := range map[string]func(c *middleware.Chain, group, in, out string, h message.HandlerFunc) (end func()){
			"process": func(c *middleware.Chain, group, in, _ string, h message.HandlerFunc) func() {
				p := process(b, group, c.Middleware(h), in)
				return func() { p.end(t) }
			},
			"router": func(c *middleware.Chain, group, in, out string, h message.HandlerFunc) func() {
				return routed(t, b, group, in, out, c, h)
			},
		} {
			in, out := testenv.Name(t, name), testenv.Name(t, "out-"+name)
			topics(t, b, in, in+".poison", out)
			appendAll(t, b, in, event(t, "1", "a"))
			down := &flaky{Backend: b, part: out}
			down.set(durable.ErrUnavailable)
			publisher, err := durable.NewPublisher(down, durable.PublisherOptions{Logger: silent})
			if err != nil {
				t.Fatal(err)
			}
			c, err := middleware.Stack{
				Poison: poisoning(b), Retry: &middleware.Retry{MaxAttempts: 4, Initial: time.Millisecond, Max: time.Millisecond},
				Produce: &middleware.Produce{Publisher: publisher, Topic: out},
			}.Chain()
			if err != nil {
				t.Fatal(err)
			}
			var runs atomic.Int64
			end := begin(c, testenv.Name(t, "g"), in, out, func(msg *message.Message) ([]*message.Message, error) {
				runs.Add(1)
				return []*message.Message{event(t, msg.Metadata[durable.MetaID], "a")}, nil
			})
			testenv.Await(t, time.Minute, func() bool { return len(replayed(t, b, in+".poison")) == 1 }, "the event is poisoned")
			if runs.Load() != 4 {
				t.Errorf("%s: the handler ran %d times, want 4", name, runs.Load())
			}
			down.set(nil)
			appendAll(t, b, in, event(t, "2", "a"))
			testenv.Await(t, time.Minute, func() bool { return len(replayed(t, b, out)) == 1 }, "the next one is published")
			end()
			if runs.Load() != 5 {
				t.Errorf("%s: the handler ran %d times, want 5", name, runs.Load())
			}
		}
	})
}

func TestAShutdownInABackoffReturnsAndLeavesTheEventOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic, group, router := testenv.Name(t, "orders"), testenv.Name(t, "g"), testenv.Name(t, "r")
		topics(t, b, topic, topic+".poison", topic+".out")
		appendAll(t, b, topic, event(t, "1", "a"))
		waits := make(chan struct{}, 10)
		backoff := middleware.Retry{Initial: time.Hour, Max: time.Hour, OnRetry: func(middleware.RetryEvent) { waits <- struct{}{} }}
		c, err := middleware.NewChain(poisoning(b), backoff)
		if err != nil {
			t.Fatal(err)
		}
		p := process(b, group, c.Middleware(failing(errHandler)), topic)
		<-waits
		p.end(t) // an hour earlier
		end := routed(t, b, router, topic, topic+".out", c, failing(errHandler))
		<-waits
		end()
		for _, g := range []string{group, router} {
			var seen log[string]
			p = process(b, g, func(msg *message.Message) ([]*message.Message, error) {
				seen.add(msg.Metadata[durable.MetaID])
				return nil, nil
			}, topic)
			testenv.Await(t, time.Minute, func() bool { return len(seen.list()) > 0 }, "the event comes again in "+g)
			p.end(t)
			if got := seen.list(); !slices.Equal(got, []string{"1"}) {
				t.Errorf("handled after the restart: %v, want [1]", got)
			}
		}
		if got := ids(replayed(t, b, topic+".poison")); len(got) != 0 {
			t.Errorf("poisoned %v, want nothing", got)
		}
	})
}
