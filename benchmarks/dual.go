package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// dualPaths compare publishing on both sides with the durable append alone: messages made of the same events and given
// to the backend's Append, as a program would that has nothing to announce. Both sides are Redis, on two servers of
// this machine, so that the ratio has the work of the second server in it, too; "without bus" has not.
// Turns are short, because how a lone caller and the servers share the processors changes from one tenth of a second to
// the next, and their lead takes more calls than the dispatcher sends without pause.
func dualPaths() []path {
	publish := func(n int, slice time.Duration) path {
		return path{name: fmt.Sprintf("dual-publish-%d", n), goal: goal{atLeast: 0.95}, slice: slice, subjects: []subject{
			appending("durable alone", durableAlone, steadyBatches(n)),
			appending(subjectOurs, dualAnnounced, steadyBatches(n)),
			appending("without bus", dualStore, steadyBatches(n)),
		}}
	}
	return []path{
		publish(1, 30*time.Millisecond), publish(100, 150*time.Millisecond),
		{
			name: "dual-publish-frozen", metric: p99, goal: goal{atMost: 1.05}, slice: 500 * time.Millisecond, subjects: []subject{
				appending("healthy", dualHealthy, timedBatches(1)),
				appending(subjectOurs, dualFrozen, timedBatches(1)),
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

// dualHealthy stores and announces.
func dualHealthy(ctx context.Context, l *lab) (store, appendFunc, error) {
	_, n, err := openPubSub(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	pubs, r, add, err := publishing(ctx, l, n)
	return draining{r, pubs}, add, err
}

// dualFrozen is dualHealthy with a real-time Redis that stands still.
func dualFrozen(ctx context.Context, l *lab) (store, appendFunc, error) {
	server, err := l.realtimeRedis()
	if err != nil {
		return nil, nil, err
	}
	s, add, err := dualHealthy(ctx, l)
	return frozen{s, server}, add, err
}

// draining is a store whose turns end when nothing waits to be announced any more, so that the next turn has no part
// of that.
type draining struct {
	store
	pubs *publishers
}

// appended implements store.
func (d draining) appended(ctx context.Context, work func(string) (sample, error)) (sample, error) {
	s, err := d.store.appended(ctx, work)
	_, late := settled(ctx, func() realtime.DispatcherStats { return d.pubs.now.Stats().Bus })
	return s, errors.Join(err, late)
}

// frozen is a store at whose turns server stands still.
type frozen struct {
	store
	server *testenv.RedisServer
}

// appended implements store.
func (f frozen) appended(ctx context.Context, work func(string) (sample, error)) (sample, error) {
	return f.store.appended(ctx, func(topic string) (sample, error) {
		f.server.Freeze()
		defer f.server.Thaw()
		return work(topic)
	})
}

// dualAnnounced stores and announces, and counts at the real-time Redis what was announced, too.
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

// errDropped is a turn in which the bus dropped more than a tenth.
var errDropped = errors.New("not the whole work")

// appended implements store. The bus may drop some where the machine stands still. Where they are more than a tenth it
// was not the whole work, and the turn is taken again; too often fails it.
func (a announced) appended(ctx context.Context, work func(string) (sample, error)) (s sample, err error) {
	const most = 5
	for again := range most {
		if s, err = a.once(ctx, work); !errors.Is(err, errDropped) {
			s.again = again
			break
		}
	}
	return s, err
}

func (a announced) once(ctx context.Context, work func(string) (sample, error)) (sample, error) {
	return a.store.appended(ctx, func(topic string) (s sample, err error) {
		_, err = a.bus.counted(ctx, func() (sample, error) {
			if s, err = work(topic); err != nil {
				return s, err
			}
			sent, err := settled(ctx, func() realtime.DispatcherStats { return a.pubs.now.Stats().Bus })
			if err == nil && sent.Sent < uint64(s.before+s.events)/10*9 {
				err = fmt.Errorf("%w: %d of %d events announced: %+v", errDropped, sent.Sent, s.before+s.events, sent)
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
