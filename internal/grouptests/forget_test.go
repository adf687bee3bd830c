package grouptests

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// streams are the keys of a topic on Redis.
func (r *run) streams() (keys []string) {
	for i := range partitions {
		keys = append(keys, fmt.Sprintf("{%s:%d}", r.topic, i))
	}
	return keys
}

// amid has two members at work in the middle of their backlog, of which the server forgets something. What comes then
// is handled as promised; of what was sent before, nothing or all may be lost.
func amid(t *testing.T, p place, forget func(t *testing.T, r *run), loses bool, promise durabletest.Promise) {
	r := newRun(t, p)
	r.member("one", briefly, durable.ProcessOptions{Concurrency: 2})
	r.member("two", briefly, durable.ProcessOptions{Concurrency: 2})
	r.awaitAtWork("one", "two")
	before := len(r.sent)
	r.publish(600)
	r.awaitHandled(before + 100)
	forget(t, r)
	from := 0
	if loses {
		from = len(r.sent)
	}
	r.probe()
	r.publish(300)
	r.settle(promise, from)
}

func once(p place) durabletest.Promise {
	return durabletest.Promise{Once: true, Ordered: p.ordered(), Serial: p.ordered()}
}

func TestAServerThatForgetsEverythingAmidHandlersIsServedAgain(t *testing.T) {
	t.Parallel()
	flushed := func(t *testing.T, p place) {
		p = p.own(t)
		amid(t, p, func(t *testing.T, r *run) { p.flush(t, r.topic) }, true, once(p))
	}
	inBothOrders(t, place{kind: "redis"}, flushed)
	inBothOrders(t, place{kind: "cluster"}, flushed)
}

// TestAGroupThatIsDestroyedAmidHandlersLosesNothing: under PerKey the owners know where it was; competitors begin at the
// oldest entry again.
func TestAGroupThatIsDestroyedAmidHandlersLosesNothing(t *testing.T) {
	t.Parallel()
	destroyed := func(t *testing.T, p place) {
		promise := once(p)
		promise.Once = p.ordered() // competitors begin at the oldest entry again
		amid(t, p, func(t *testing.T, r *run) {
			for _, key := range r.streams() {
				must(t, p.redis.XGroupDestroy(t.Context(), key, r.group("").Name).Err())
			}
		}, false, promise)
	}
	onRedis(t, destroyed)
	onCluster(t, destroyed)
}

// TestAGroupAtWorkIsNotDeleted asks in vain, and disturbs nothing by it.
func TestAGroupAtWorkIsNotDeleted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		amid(t, p, func(t *testing.T, r *run) {
			if err := r.b.DeleteGroup(t.Context(), r.group("").Name, r.topic); !errors.Is(err, durable.ErrGroupActive) {
				t.Errorf("got %v, want ErrGroupActive", err)
			}
		}, false, once(p))
	})
}

// TestATopicThatIsDeletedAmidHandlersAndMadeAgainIsConsumed has handlers of the old topic end beside those of the new one.
func TestATopicThatIsDeletedAmidHandlersAndMadeAgainIsConsumed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		promise := once(p)
		promise.Serial = false
		amid(t, p, func(t *testing.T, r *run) {
			must(t, r.b.DeleteTopic(t.Context(), r.topic))
			testenv.Await(t, soon, func() bool {
				return r.b.CreateTopic(t.Context(), durable.TopicSpec{Name: r.topic, Partitions: partitions}) == nil
			}, "the topic is made again")
		}, true, promise)
	})
}
