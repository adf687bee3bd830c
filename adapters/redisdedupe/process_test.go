package redisdedupe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// successes counts by event, and fails the first attempt of every third event.
type successes struct {
	mu     sync.Mutex
	failed map[string]bool
	count  map[string]int
}

func (s *successes) handle(msg *message.Message) ([]*message.Message, error) {
	id := msg.Metadata[durable.MetaID]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(id)%3 == 0 && !s.failed[id] {
		s.failed[id] = true
		return nil, errors.New("the first attempt fails")
	}
	s.count[id]++
	return nil, nil
}

func (s *successes) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.count)
}

func TestEveryEventSucceedsOnceOnEveryBackend(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	backends := map[string]func(t *testing.T) (durable.Backend, error){
		"memory": func(*testing.T) (durable.Backend, error) { return memory.New(memory.Config{Logger: logger}) },
		"redisstream": func(t *testing.T) (durable.Backend, error) {
			return redisstream.Open(t.Context(), redisstream.Config{
				Connection: redisstream.Connection{Addr: testenv.Redis(t)}, Logger: logger,
			})
		},
		"kafka": func(t *testing.T) (durable.Backend, error) {
			return kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), Logger: logger})
		},
	}
	for name, openBackend := range backends {
		t.Run(name, func(t *testing.T) {
			b, err := openBackend(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			onceEach(t, b, logger)
		})
	}
}

// onceEach stores 200 events, each under two keys, and has a group handle them.
func onceEach(t *testing.T, b durable.Backend, logger *slog.Logger) {
	const events = 200
	topic, group := testenv.Name(t, "dedupe"), testenv.Name(t, "g")
	if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	var msgs []*message.Message
	for _, key := range []string{"a", "b"} {
		for i := range events {
			msg, err := durable.Event{ID: fmt.Sprint(i), Type: "x", SourceType: "s", SourceID: "1"}.Message(key + fmt.Sprint(i%7))
			if err != nil {
				t.Fatal(err)
			}
			msgs = append(msgs, msg)
		}
	}
	if _, err := b.Append(t.Context(), topic, msgs...); err != nil {
		t.Fatal(err)
	}
	cfg := at(testenv.Redis(t))
	cfg.Prefix = testenv.Name(t, "dedupe:")
	s := &successes{failed: map[string]bool{}, count: map[string]int{}}
	d := &middleware.Dedupe{Store: open(t, cfg), Logger: logger}
	h, monitor := d.Middleware(s.handle), new(durable.Monitor)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- durable.Process(ctx, b, durable.Group{Name: group, Topics: durable.Topics(topic)},
			func(msg *message.Message) error { _, err := h(msg); return err },
			durable.ProcessOptions{Monitor: monitor, Logger: logger})
	}()
	testenv.Await(t, 2*time.Minute, func() bool { return monitor.Stats().Total().Acked == 2*events }, "all is acknowledged")
	stop()
	if err := <-done; err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
	for id, n := range s.count {
		if n != 1 {
			t.Errorf("event %s succeeded %d times, want once", id, n)
		}
	}
	if stats := d.Stats(); s.len() != events || stats.Handled != events || stats.Duplicates != events {
		t.Errorf("got %d events and %+v, want %d handled and as many duplicates", s.len(), stats, events)
	}
}
