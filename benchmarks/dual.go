package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/realtime"
)

// dualPaths compare publishing on both sides with the durable append alone: messages made of the same events and given
// to the backend's Append, as a program would that has nothing to announce. Both sides are Redis, on two servers of
// this machine, so that the ratio has the work of the second server in it, too; "without bus" has not.
func dualPaths() []path {
	publish := func(n int) path {
		return path{name: fmt.Sprintf("dual-publish-%d", n), goal: goal{atLeast: 0.95}, slices: 4, subjects: []subject{
			appending("durable alone", durableAlone, batches(n)),
			appending(subjectOurs, dualAnnounced, batches(n)),
			appending("without bus", dualStore, batches(n)),
		}}
	}
	return []path{
		publish(1), publish(100),
		{
			name: "dual-publish-frozen", metric: p99, goal: goal{atMost: 1.05}, slices: 4, subjects: []subject{
				appending("healthy", dualPublish, timedBatches(1)),
				frozen(appending(subjectOurs, dualPublish, timedBatches(1))),
			},
		},
	}
}

// durableAlone makes messages of events and appends them, with nothing in between.
func durableAlone(ctx context.Context, l *lab) (store, appendFunc, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, func(ctx context.Context, topic string, done int64, n int) error {
		msgs, err := messagesOf(window(r.pool.events, done, n))
		if err == nil {
			_, err = b.Append(ctx, topic, msgs...)
		}
		return err
	}, nil
}

// dualPublish stores and announces.
func dualPublish(ctx context.Context, l *lab) (store, appendFunc, error) {
	_, n, err := openPubSub(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	_, r, add, err := publishing(ctx, l, n)
	return r, add, err
}

// dualAnnounced is dualPublish that counts at the real-time Redis what was announced, too.
func dualAnnounced(ctx context.Context, l *lab) (store, appendFunc, error) {
	b, n, err := openPubSub(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	pubs, r, add, err := publishing(ctx, l, n)
	return announced{r, b, pubs}, add, err
}

// announced is a store whose events are announced on a bus.
type announced struct {
	store
	bus  *bus
	pubs *publishers
}

// appended implements store. The bus may drop some where the machine stands still, and fails the turn where they are
// more than a tenth, because then it was not the whole work.
func (a announced) appended(ctx context.Context, work func(string) (sample, error)) (sample, error) {
	return a.store.appended(ctx, func(topic string) (s sample, err error) {
		_, err = a.bus.counted(ctx, func() (sample, error) {
			if s, err = work(topic); err != nil {
				return s, err
			}
			sent, err := settled(ctx, func() realtime.DispatcherStats { return a.pubs.now.Stats().Bus })
			if err == nil && sent.Sent < uint64(s.events)/10*9 {
				err = fmt.Errorf("%d of %d events announced: %+v", sent.Sent, s.events, sent)
			}
			return sample{events: int64(sent.Sent)}, err
		})
		return s, err
	})
}

// dualStore stores only.
func dualStore(ctx context.Context, l *lab) (store, appendFunc, error) {
	_, r, add, err := publishing(ctx, l, nil)
	return r, add, err
}

func publishing(ctx context.Context, l *lab, bus realtime.Backend) (*publishers, store, appendFunc, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, nil, err
	}
	pubs := &publishers{l: l, store: b, bus: bus}
	return pubs, r, func(ctx context.Context, topic string, done int64, n int) error {
		p, err := pubs.to(topic)
		if err == nil {
			_, err = p.Publish(ctx, window(r.pool.events, done, n)...)
		}
		return err
	}, nil
}

// publishers holds the publisher of the current turn, because a publisher has one topic and a turn has its own.
type publishers struct {
	l     *lab
	store *redisstream.Backend
	bus   realtime.Backend // nil: none
	topic string
	now   *dual.Publisher
}

func (p *publishers) to(topic string) (*dual.Publisher, error) {
	if p.now != nil && p.topic == topic {
		return p.now, nil
	}
	pub, err := dual.New(p.store, p.bus, dual.Options{Topic: topic})
	if err != nil {
		return nil, err
	}
	p.l.after(func() error { return pub.Close(context.Background()) })
	p.topic, p.now = topic, pub
	return pub, nil
}

// frozen stops the real-time Redis during the turns of s.
func frozen(s subject) subject {
	return subject{s.name, func(ctx context.Context, l *lab) (turn, error) {
		t, err := s.setup(ctx, l)
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			server, err := l.realtimeRedis()
			if err != nil {
				return sample{}, err
			}
			server.Freeze()
			defer server.Thaw()
			return t(ctx, dur)
		}, err
	}}
}
