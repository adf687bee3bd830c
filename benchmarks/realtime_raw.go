package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/realtime"
)

// notifications a second at which latency is measured.
const pace = 1000

// bus is a Redis that carries notifications only.
type bus struct {
	*redis.Client
	l     *lab
	notes []realtime.Notification
}

func newBus(l *lab) (*bus, error) {
	server, err := l.realtimeRedis()
	if err != nil {
		return nil, err
	}
	c := newRedisClient(server.Addr())
	l.after(c.Close)
	b := &bus{Client: c, l: l}
	for i, e := range newPool().events {
		b.notes = append(b.notes, realtime.Notification{
			Channel: realtime.Channel(e.SourceType, e.SourceID), ID: e.ID, Type: e.Type, SourceType: e.SourceType,
			SourceID: e.SourceID, Time: e.Time, Topic: "orders", Position: "1712000000000-" + strconv.Itoa(i),
		})
	}
	return b, nil
}

// published counts the PUBLISH commands that the server has executed.
func (b *bus) published(ctx context.Context) (int64, error) {
	info, err := b.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(info, "cmdstat_publish:calls=")
	if !found {
		return 0, nil
	}
	calls, _, _ := strings.Cut(rest, ",")
	return strconv.ParseInt(calls, 10, 64)
}

// counted compares what work says with what the server has executed meanwhile.
func (b *bus) counted(ctx context.Context, work func() (sample, error)) (sample, error) {
	before, err := b.published(ctx)
	if err != nil {
		return sample{}, err
	}
	s, err := work()
	if err != nil {
		return s, err
	}
	after, err := b.published(ctx)
	if err == nil && after-before != s.events {
		err = fmt.Errorf("the server has executed %d PUBLISH, want %d", after-before, s.events)
	}
	return s, err
}

// rawPublish sends pipelines of n PUBLISH. The notifications were encoded before.
func rawPublish(n int) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		b, err := newBus(l)
		if err != nil {
			return nil, err
		}
		encoded := make([][]byte, len(b.notes))
		for i := range b.notes {
			encoded[i] = b.notes[i].AppendJSON(nil)
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return b.counted(ctx, func() (sample, error) {
				return inBatches(ctx, dur, n, func(done int64) error {
					pipe := b.Pipeline()
					notes := window(b.notes, done, n)
					for i, data := range window(encoded, done, n) {
						pipe.Publish(ctx, notes[i].Channel, data)
					}
					_, err := pipe.Exec(ctx)
					return err
				})
			})
		}, nil
	}
}

// rawNotify publishes at a steady pace and receives.
func rawNotify(ctx context.Context, l *lab) (turn, error) {
	b, err := newBus(l)
	if err != nil {
		return nil, err
	}
	channel, data := l.name("channel"), b.notes[0].AppendJSON(nil)
	sub := b.Subscribe(ctx, channel)
	l.after(sub.Close)
	if _, err := sub.Receive(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context, dur time.Duration) (sample, error) {
		return paced(ctx, dur, pace,
			func(ctx context.Context) error { return b.Publish(ctx, channel, data).Err() },
			func(ctx context.Context) error { _, err := sub.ReceiveMessage(ctx); return err })
	}, nil
}

// realtimePaths compare what stands between a publisher and a listener.
func realtimePaths() []path {
	return []path{
		{name: "dispatcher-redis", goal: goal{atLeast: 0.7}, slice: 200 * time.Millisecond, subjects: []subject{
			{subjectRaw, rawPublish(256)},
			{subjectOurs, oursDispatch(100)},
		}},
		{name: "notify-latency", metric: p99, goal: goal{atMost: 1.3, aim: 1.2}, stretch: 2, slice: 500 * time.Millisecond, subjects: []subject{
			{subjectRaw, rawNotify},
			{subjectOurs, oursNotify},
		}},
	}
}
