package grouptests

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestHandlersThatMisbehaveHoldUpTheirKeyAlone has handlers that panic, fail, end their goroutine, and one that heeds
// nothing and blocks for longer than a lease: it keeps its event, and the other keys go on.
func TestHandlersThatMisbehaveHoldUpTheirKeyAlone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		p.lease = 12 * time.Second
		r := newRun(t, p)
		var first sync.Map               // ids that were tried
		var stuck atomic.Pointer[string] // the event that blocks, once both members are at work
		release := make(chan struct{})
		work := func(m *message.Message) error {
			switch stuck := stuck.Load(); {
			case stuck == nil:
				return nil
			case *stuck == m.UUID:
				<-release
				return nil
			}
			if _, again := first.LoadOrStore(m.UUID, true); again {
				return nil
			}
			switch durable.Key(m) {
			case "k1":
				panic("a handler that panics")
			case "k2":
				return durable.RetryAfter(errors.New("not yet"), 10*time.Millisecond)
			case "k3":
				runtime.Goexit()
			}
			return nil
		}
		letGo := sync.OnceFunc(func() { close(release) })
		defer letGo()
		o := durable.ProcessOptions{Backoff: func(int, error) time.Duration { return time.Millisecond }}
		r.member("one", work, o)
		r.member("two", work, o)
		r.awaitAtWork("one", "two")
		id := event(len(r.sent)).UUID // of the first key
		stuck.Store(&id)
		r.publish(400)
		r.awaitHandled(len(r.sent) - 400/keys)
		<-time.After(p.lease + time.Second) // for which the event could be given to the other member
		r.publish(200)
		letGo()
		r.settle(r.promise(), 0)
	})
}

// TestAHandlerThatReturnsAfterItsMemberHasLeftAcknowledgesNothing has a handler outlive its member.
func TestAHandlerThatReturnsAfterItsMemberHasLeftAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		r := newRun(t, p)
		release, began, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
		leave := r.member("one", func(m *message.Message) error {
			if m.UUID != "e5" {
				return nil
			}
			close(began)
			defer close(returned)
			<-release
			return nil
		}, durable.ProcessOptions{DrainTimeout: 50 * time.Millisecond})
		r.publish(100)
		<-began
		testenv.Await(t, soon, func() bool { return r.handled(r.sent) >= 80 }, "the other keys are handled")
		if err := leave(); err == nil {
			t.Error("got nil, want the handler that was left behind named")
		}
		r.history.Died("one")
		close(release)
		<-returned
		r.publish(100)
		r.member("two", briefly, durable.ProcessOptions{})
		r.settle(durabletest.Promise{Ordered: p.ordered(), Serial: p.ordered(), Window: durable.DefaultMaxInFlight}, 0)
	})
}

// TestAReceiverThatAcknowledgesTwiceHasAcknowledgedOnce answers each message of a Subscriber twice, and once more after
// the subscription has ended.
func TestAReceiverThatAcknowledgesTwiceHasAcknowledgedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		r := newRun(t, p)
		var old []*message.Message
		for _, member := range []string{"one", "two"} {
			s, err := durable.NewSubscriber(p.open(t), r.group(member), durable.ProcessOptions{})
			must(t, err)
			ctx, stop := context.WithTimeout(t.Context(), soon)
			got, err := s.Subscribe(ctx, r.topic)
			must(t, err)
			r.publish(100)
			for r.handled(r.sent) < len(r.sent) {
				m, open := <-got
				if !open {
					t.Fatalf("the subscription ended after %d of %d", r.handled(r.sent), len(r.sent))
				}
				finish := r.history.Started(member, durable.Key(m), m.UUID)
				r.done.Store(m.UUID, true)
				finish()
				if first, again := m.Ack(), m.Ack(); !first || !again || m.Nack() {
					t.Errorf("%s: a second answer changed the first", m.UUID)
				}
				old = append(old, m)
			}
			must(t, s.Close())
			stop()
			for _, m := range old {
				m.Ack()
			}
		}
		r.settle(r.promise(), 0)
	})
}
