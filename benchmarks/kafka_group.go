package main

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
)

// rawKafkaConsumer consumes with sarama's group: every message is marked, offsets are committed every second and at
// the end. Nothing is decoded beyond what sarama does.
func rawKafkaConsumer(open func(*lab) (*cluster, error)) consumerOpener {
	return func(_ context.Context, l *lab) (source, consumer, error) {
		c, err := open(l)
		if err != nil {
			return nil, nil, err
		}
		return c, func(ctx context.Context, topic, group string, n int64) (s sample, err error) {
			cfg := sarama.NewConfig()
			cfg.Version = sarama.V3_9_0_0
			cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
			cfg.Net.TLS.Enable, cfg.Net.TLS.Config = c.tls != nil, c.tls
			member, err := sarama.NewConsumerGroup(c.dial, group, cfg)
			if err != nil {
				return s, err
			}
			defer func() { err = errors.Join(err, member.Close()) }()
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			h := &marking{pass: newPassing(n), stop: stop}
			if err := member.Consume(ctx, []string{topic}, h); err != nil {
				return s, err
			}
			select {
			case <-h.pass.full:
				return h.pass.sample(), nil
			default:
				return s, errors.New("the session ended early")
			}
		}, nil
	}
}

// marking marks messages and ends the session with the last of them.
type marking struct {
	pass *passing
	stop context.CancelFunc
}

// Setup implements sarama.ConsumerGroupHandler.
func (*marking) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (*marking) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (m *marking) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for msg := range c.Messages() {
		s.MarkMessage(msg, "")
		m.pass.seen()
		select {
		case <-m.pass.full:
			m.stop()
		default:
		}
	}
	return nil
}
