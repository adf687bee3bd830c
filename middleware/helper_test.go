package middleware_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

var errHandler = errors.New("handler failed")

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// newMemory is a backend with one partition a topic.
func newMemory(t testing.TB, cfg memory.Config) *memory.Backend {
	t.Helper()
	if cfg.Partitions == 0 {
		cfg.Partitions = 1
	}
	b, err := memory.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// event is a message of source key with the id.
func event(t testing.TB, id, key string) *message.Message {
	t.Helper()
	msg, err := durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: key, Data: []byte("data of " + id)}.Message("")
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func appendAll(t testing.TB, b durable.Backend, topic string, msgs ...*message.Message) []durable.Position {
	t.Helper()
	ps, err := b.Append(context.Background(), topic, msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// plain makes a handler for durable.Process of one of Watermill's.
func plain(h message.HandlerFunc) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		_, err := h(msg)
		return err
	}
}

// processing is a durable.Process that runs until end.
type processing struct {
	stop context.CancelFunc
	done chan error
}

func process(b durable.Backend, group string, h message.HandlerFunc, topics ...string) *processing {
	return processWith(b, group, h, durable.ProcessOptions{}, topics...)
}

func processWith(b durable.Backend, group string, h message.HandlerFunc, o durable.ProcessOptions, topics ...string) *processing {
	ctx, stop := context.WithCancel(context.Background())
	p := &processing{stop: stop, done: make(chan error, 1)}
	if o.Logger == nil {
		o.Logger = silent
	}
	go func() {
		p.done <- durable.Process(ctx, b, durable.Group{Name: group, Topics: durable.Topics(topics...)}, plain(h), o)
	}()
	return p
}

func (p *processing) end(t testing.TB) {
	t.Helper()
	p.stop()
	if err := <-p.done; err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
}

// replayed is a topic.
func replayed(t testing.TB, b durable.Backend, topic string) []durable.Record {
	t.Helper()
	var out []durable.Record
	for r, err := range b.Replay(context.Background(), topic, durable.Range{}) {
		if errors.Is(err, durable.ErrTopicNotFound) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func ids(records []durable.Record) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = r.Message.Metadata[durable.MetaID]
	}
	return out
}

// log is a list that many goroutines write.
type log[T any] struct {
	mu  sync.Mutex
	all []T
}

func (l *log[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, v)
}

func (l *log[T]) list() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]T(nil), l.all...)
}

// garbled is a backend none of whose deliveries can be decoded.
type garbled struct{ durable.Backend }

func (g *garbled) Consume(ctx context.Context, group durable.Group) (durable.Consumer, error) {
	c, err := g.Backend.Consume(ctx, group)
	return &garbling{c}, err
}

type garbling struct{ durable.Consumer }

func (g *garbling) Fetch(ctx context.Context, n int) ([]durable.Delivery, error) {
	ds, err := g.Consumer.Fetch(ctx, n)
	for i := range ds {
		ds[i].DecodeErr = errors.New("not a message")
	}
	return ds, err
}
