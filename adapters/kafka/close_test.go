package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// callersOfClose wait no longer than their contexts, each of them.
func callersOfClose(t *testing.T, k *testenv.KafkaCluster) {
	b, err := Open(t.Context(), patient(Config{Brokers: k.Brokers()}))
	if err != nil {
		t.Fatal(err)
	}
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(5, oneKey)...)
	c := joinLate(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	if err := c.Ack(t.Context(), fetch(t, c, 5)...); err != nil {
		t.Fatal(err)
	}
	k.Node(1).Freeze()
	defer k.Node(1).Thaw()
	for name, end := range map[string]func(context.Context) error{"consumer": c.Close, "backend": b.Close} {
		long, cancel := context.WithTimeout(context.Background(), 2*soon)
		defer cancel()
		first := make(chan error, 1)
		go func() { first <- end(long) }()
		testenv.Await(t, soon, func() bool { return hasBegunToClose(b, c.(*consumer), name) }, "the first call is at work")
		short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := end(short); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the second call: got %v", name, err)
		}
		if long.Err() != nil {
			t.Errorf("%s: the second call took as long as the first", name)
		}
		cancel()
		defer func() {
			if err := <-first; err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Logf("%s: the first call: %v", name, err)
			}
		}()
	}
	k.Node(1).Thaw()
}

func hasBegunToClose(b *Backend, c *consumer, what string) bool {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return closed || what == "consumer" && c.closed
}

// consumeWhileClosing has Consume end when its backend closes.
func consumeWhileClosing(t *testing.T, k *testenv.KafkaCluster) {
	b, err := Open(t.Context(), patient(Config{Brokers: k.Brokers(), AppendTimeout: time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	topic := newTopic(t, b, 1)
	k.Node(1).Freeze()
	defer k.Node(1).Thaw()
	joined, g := make(chan error, 1), durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	go func() {
		_, err := b.Consume(context.Background(), g)
		joined <- err
	}()
	short, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	<-short.Done()
	_ = b.Close(short)
	select {
	case err := <-joined:
		if err == nil {
			t.Error("a member of a closed backend")
		}
	case <-time.After(soon):
		t.Error("Consume goes on after Close")
	}
	k.Node(1).Thaw()
	b.wg.Wait()
}
