package adapters_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// oneByOne is a memory backend that handles its events in their order; sections of policies follow it.
const oneByOne = "durable: { backend: memory, memory: { partitions: 1 } }\nprocess: { concurrency: 1 }\n"

// consuming is a member of a group of a stack.
type consuming struct {
	stop context.CancelFunc
	done chan error
}

// consume has a member of group handle the events of s with h, in the policies of the file.
func consume(s *dual.Stack, group string, h func(context.Context, durable.Event) error) consuming {
	ctx, stop := context.WithCancel(context.Background())
	c := consuming{stop: stop, done: make(chan error, 1)}
	g := s.Group(group)
	wrapped, options := s.HandleEvent(group, h), s.ProcessOf(g)
	go func() { c.done <- durable.Process(ctx, s.Durable, g, wrapped, options) }()
	return c
}

func (c consuming) end(t *testing.T) {
	t.Helper()
	c.stop()
	if err := <-c.done; err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
}

// handling are the attempts of handlers since it was made.
type handling struct {
	begin time.Time

	mu      sync.Mutex
	running int
	most    int // that ran side by side
	ids     []string
	at      []time.Duration
}

// start counts an attempt at the event id; done ends it.
func (h *handling) start(id string) (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running++
	h.most = max(h.most, h.running)
	h.ids = append(h.ids, id)
	h.at = append(h.at, time.Since(h.begin))
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
	}
}

// sorted are the attempts by id, with their times.
func (h *handling) sorted() (ids []string, at []time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids, at = slices.Clone(h.ids), slices.Clone(h.at)
	slices.Sort(ids)
	return ids, at
}

// last is when the last attempt began.
func (h *handling) last() time.Duration {
	_, at := h.sorted()
	return at[len(at)-1]
}

// poisonIn are the records of a poison topic.
func poisonIn(t *testing.T, s *dual.Stack, topic string) []middleware.PoisonRecord {
	t.Helper()
	var out []middleware.PoisonRecord
	for p, err := range (middleware.Redrive{Backend: s.Durable, Topic: topic}).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}
