package watermilltests

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// Watermill's own suite, on the façades of durable. Members of one group share the topics.
func TestWatermillsSuiteInGroups(t *testing.T) {
	backend := suiteBackend(t)
	inGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		return facades(t, backend, group)
	}
	tests.TestPubSub(t,
		tests.Features{ConsumerGroups: true, GuaranteedOrder: true, Persistent: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) { return inGroup(t, "suite") }, inGroup)
}

// Every subscriber has a group of its own and sees everything.
func TestWatermillsSuiteOfReaders(t *testing.T) {
	backend := suiteBackend(t)
	var readers atomic.Int64
	tests.TestPubSub(t,
		tests.Features{GuaranteedOrder: true, Persistent: true, NewSubscriberReceivesOldMessages: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			return facades(t, backend, "reader-"+strconv.FormatInt(readers.Add(1), 10))
		}, nil)
}

func suiteBackend(t *testing.T) durable.Backend {
	t.Helper()
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return backend
}

func facades(t *testing.T, backend durable.Backend, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	pub, err := durable.NewPublisher(backend, durable.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := durable.NewSubscriber(backend, durable.Group{Name: group}, durable.ProcessOptions{
		DrainTimeout: 100 * time.Millisecond, // the suite leaves messages unanswered in a hundred subscribers, one after the other
		Backoff:      func(int, error) time.Duration { return 10 * time.Millisecond },
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return pub, sub
}
