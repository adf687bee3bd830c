// Package watermillredisstream makes Watermill's adapter to Redis Streams
// (github.com/ThreeDotsLabs/watermill-redisstream) a backend, for both sides: for programs whose Pub/Sub stays as it is
// while the rest moves. The adapter of this module is the package redisstream; it writes the same entries, and a group
// goes on with it where it was (Ordering None).
//
// What Watermill's cannot do is refused, see durable.FromWatermill: there is no Replay and no position, and the members
// of a group compete, so that Group.Ordering must be None. An entry whose member died is given to another one after
// Config.ClaimIdle, and so is one whose handler takes longer. A command that the server has not answered within 5 s fails:
// it is not sent again, for it may have been done. In a cluster the library does send it again, up to three times, and an
// event may be stored more than once.
package watermillredisstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/watermillkit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Open returns a durable backend. A server that cannot be reached is durable.ErrUnavailable.
func Open(ctx context.Context, cfg Config) (durable.Backend, error) {
	pub, err := cfg.publisher(ctx)
	if err != nil {
		return nil, err
	}
	cfg = cfg.filled()
	return durable.FromWatermill(durable.Watermill{
		Name:      "watermill-redisstream",
		Publisher: pub,
		Subscriber: func(g durable.Group) (message.Subscriber, error) {
			oldest := "0"
			if g.Start.Kind() == durable.StartNewest {
				oldest = "$"
			}
			return redisstream.NewSubscriber(redisstream.SubscriberConfig{
				Client: newClient(cfg), Unmarshaller: tolerant{cfg.Marshaller}, ConsumerGroup: g.Name, Consumer: g.Member,
				OldestId: oldest, MaxIdleTime: cfg.ClaimIdle, ClaimInterval: cfg.claimInterval(),
				DisableIndefiniteInitialBlock: true, // it would not end with Close
			}, watermillkit.Logger(cfg.Logger))
		},
		DecodeErr: watermillkit.DecodeErr,
		Close:     pub.Close,
	})
}

// claimInterval is how often members look for entries that were left alone.
func (c Config) claimInterval() time.Duration {
	return min(redisstream.DefaultClaimInterval, max(c.ClaimIdle/2, time.Millisecond))
}

// OpenRealtime returns a real-time backend on one stream, realtime.DefaultTopic where topic is "", which keeps about
// Config.MaxLen notifications.
func OpenRealtime(ctx context.Context, cfg Config, topic string) (realtime.Backend, error) {
	if cfg.MaxLen == 0 {
		cfg.MaxLen = DefaultRealtimeMaxLen
	}
	pub, err := cfg.publisher(ctx)
	if err != nil {
		return nil, err
	}
	cfg = cfg.filled()
	return realtime.FromWatermill(realtime.Watermill{
		Name:      "watermill-redisstream",
		Publisher: pub,
		Subscriber: func() (message.Subscriber, error) {
			return redisstream.NewSubscriber(redisstream.SubscriberConfig{
				Client: newClient(cfg), Unmarshaller: tolerant{cfg.Marshaller}, FanOutOldestId: "$",
				DisableIndefiniteInitialBlock: true, // it would not end with Close
			}, watermillkit.Logger(cfg.Logger))
		},
		Topic: topic,
		Close: pub.Close,
	})
}

// publisher checks the configuration and that the server answers.
func (c Config) publisher(ctx context.Context) (*redisstream.Publisher, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("watermillredisstream: open: %w", err)
	}
	c = c.filled()
	client := newClient(c)
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("watermillredisstream: open: %w: %w", durable.ErrUnavailable, errors.Join(err, client.Close()))
	}
	pub, err := redisstream.NewPublisher(redisstream.PublisherConfig{
		Client: client, Marshaller: c.Marshaller, DefaultMaxlen: c.MaxLen,
	}, watermillkit.Logger(c.Logger))
	if err != nil {
		return nil, fmt.Errorf("watermillredisstream: open: %w", errors.Join(err, client.Close()))
	}
	return pub, nil
}
