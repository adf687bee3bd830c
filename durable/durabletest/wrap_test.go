package durabletest

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

type (
	appendFunc  func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error)
	consumeFunc func(ctx context.Context, g durable.Group) (durable.Consumer, error)
	replayFunc  func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error]
	fetchFunc   func(ctx context.Context, n int) ([]durable.Delivery, error)
	ackFunc     func(ctx context.Context, ds ...durable.Delivery) error
	closeFunc   func(ctx context.Context) error
)

// full is a backend with every optional ability.
type full interface {
	durable.Backend
	durable.Administrator
	durable.LagReporter
	durable.HealthChecker
	durable.Trimmer
	durable.Remover
	durable.GroupAdministrator
}

// backend is a full backend some of whose methods are replaced; nil functions are the embedded ones.
type backend struct {
	full
	append   appendFunc
	consume  consumeFunc
	replay   replayFunc
	close    closeFunc
	create   func(ctx context.Context, spec durable.TopicSpec) error
	remove   func(ctx context.Context, topic string) error
	describe func(ctx context.Context, topic string) (durable.TopicInfo, error)
	lag      func(ctx context.Context, group, topic string) ([]durable.PartitionLag, error)
	health   func(ctx context.Context) error
}

func (b *backend) CreateTopic(ctx context.Context, spec durable.TopicSpec) error {
	if b.create != nil {
		return b.create(ctx, spec)
	}
	return b.full.CreateTopic(ctx, spec)
}

func (b *backend) DeleteTopic(ctx context.Context, topic string) error {
	if b.remove != nil {
		return b.remove(ctx, topic)
	}
	return b.full.DeleteTopic(ctx, topic)
}

func (b *backend) DescribeTopic(ctx context.Context, topic string) (durable.TopicInfo, error) {
	if b.describe != nil {
		return b.describe(ctx, topic)
	}
	return b.full.DescribeTopic(ctx, topic)
}

func (b *backend) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	if b.lag != nil {
		return b.lag(ctx, group, topic)
	}
	return b.full.Lag(ctx, group, topic)
}

func (b *backend) Health(ctx context.Context) error {
	if b.health != nil {
		return b.health(ctx)
	}
	return b.full.Health(ctx)
}

func (b *backend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if b.append != nil {
		return b.append(ctx, topic, msgs...)
	}
	return b.full.Append(ctx, topic, msgs...)
}

func (b *backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if b.consume != nil {
		return b.consume(ctx, g)
	}
	return b.full.Consume(ctx, g)
}

func (b *backend) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	if b.replay != nil {
		return b.replay(ctx, topic, r)
	}
	return b.full.Replay(ctx, topic, r)
}

func (b *backend) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(ctx)
	}
	return b.full.Close(ctx)
}

// consumer is a durable.Consumer some of whose methods are replaced.
type consumer struct {
	durable.Consumer
	fetch     fetchFunc
	ack       ackFunc
	release   func(ds ...durable.Delivery)
	setTopics func(ctx context.Context, ts ...durable.TopicStart) error
	close     closeFunc
}

func (c *consumer) Fetch(ctx context.Context, n int) ([]durable.Delivery, error) {
	if c.fetch != nil {
		return c.fetch(ctx, n)
	}
	return c.Consumer.Fetch(ctx, n)
}

func (c *consumer) Ack(ctx context.Context, ds ...durable.Delivery) error {
	if c.ack != nil {
		return c.ack(ctx, ds...)
	}
	return c.Consumer.Ack(ctx, ds...)
}

func (c *consumer) Release(ds ...durable.Delivery) {
	if c.release != nil {
		c.release(ds...)
		return
	}
	c.Consumer.Release(ds...)
}

func (c *consumer) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	if c.setTopics != nil {
		return c.setTopics(ctx, ts...)
	}
	return c.Consumer.SetTopics(ctx, ts...)
}

func (c *consumer) Close(ctx context.Context) error {
	if c.close != nil {
		return c.close(ctx)
	}
	return c.Consumer.Close(ctx)
}

// members changes every consumer that next opens.
func members(next durable.Backend, change func(*consumer)) *backend {
	return &backend{full: next.(full), consume: func(ctx context.Context, g durable.Group) (durable.Consumer, error) {
		inner, err := next.Consume(ctx, g)
		if err != nil {
			return nil, err
		}
		c := &consumer{Consumer: inner}
		change(c)
		return c, nil
	}}
}

// deliveries changes what every consumer of next fetches.
func deliveries(next durable.Backend, change func([]durable.Delivery) []durable.Delivery) *backend {
	return members(next, func(c *consumer) {
		c.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
			for {
				ds, err := c.Consumer.Fetch(ctx, n)
				if err != nil {
					return nil, err
				}
				if ds = change(ds); len(ds) > 0 {
					return ds, nil
				}
			}
		}
	})
}

const foreignMark = "foreign"

var errForeign = errors.New("not a message")

// decodes makes messages that carry foreignMark foreign entries.
func decodes(next durable.Backend) durable.Backend {
	return deliveries(next, func(ds []durable.Delivery) []durable.Delivery {
		for i := range ds {
			if ds[i].Message.Metadata[foreignMark] != "" {
				ds[i].DecodeErr = errForeign
			}
		}
		return ds
	})
}

// impatient is how long a check of a broken backend waits for what never comes.
const impatient = time.Second

// harness is memory, wrapped. Its patience is that of a correct backend.
func harness(t testing.TB, cfg memory.Config, wrap func(durable.Backend) durable.Backend) Harness {
	t.Helper()
	cfg.Store = memory.NewStore()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	admin, err := memory.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	var topics atomic.Int64
	must := func(t testing.TB, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return Harness{
		New: func(t testing.TB) durable.Backend {
			b, err := memory.New(cfg)
			must(t, err)
			return wrap(decodes(b))
		},
		NewTopic: func(t testing.TB, partitions int) string {
			name := "topic-" + strconv.FormatInt(topics.Add(1), 10)
			must(t, admin.CreateTopic(context.Background(), durable.TopicSpec{Name: name, Partitions: partitions}))
			return name
		},
		Trim: func(t testing.TB, topic string) {
			_, err := admin.Trim(context.Background(), topic, durable.Trim{MaxLen: 5, AllowUnread: true})
			must(t, err)
		},
		Foreign: func(t testing.TB, topic string) {
			m := message.NewMessage("", []byte("raw"))
			m.Metadata[foreignMark] = "x"
			_, err := admin.Append(context.Background(), topic, m)
			must(t, err)
		},
	}
}
