package watermilltests

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The suite's TestReconnect publishes so many messages and notes each of them after Publish has returned, in a goroutine
// that nothing waits for. Once the last one is received it looks at its notes: where delivery is quick, too early.
const (
	reconnectMessages = 10_000
	reconnectNotes    = 5 * time.Second // for the last notes
)

// unhurried is a pair of façades that give the last message to be received once all were published and noted.
type unhurried struct {
	message.Publisher
	published atomic.Int64
	all       chan struct{} // closed with the last one
	pumps     sync.WaitGroup
}

func (u *unhurried) Publish(topic string, msgs ...*message.Message) error {
	err := u.Publisher.Publish(topic, msgs...)
	if err == nil && u.published.Add(int64(len(msgs))) == reconnectMessages {
		close(u.all)
	}
	return err
}

type unhurriedSubscriber struct {
	message.Subscriber
	u *unhurried
}

func (s *unhurriedSubscriber) SubscribeInitialize(topic string) error {
	return s.Subscriber.(message.SubscribeInitializer).SubscribeInitialize(topic)
}

func (s *unhurriedSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := s.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	s.u.pumps.Go(func() {
		defer close(out)
		seen := map[string]bool{}
		for msg := range in {
			if seen[msg.UUID] = true; len(seen) == reconnectMessages {
				s.u.awaitNotes(msg)
			}
			select {
			case out <- msg:
			case <-msg.Context().Done():
			}
		}
	})
	return out, nil
}

func (s *unhurriedSubscriber) Close() error {
	err := s.Subscriber.Close()
	s.u.pumps.Wait()
	return err
}

// awaitNotes waits until everything was published, and a while longer.
func (u *unhurried) awaitNotes(msg *message.Message) {
	select {
	case <-u.all:
	case <-msg.Context().Done():
		return
	}
	select {
	case <-time.After(reconnectNotes):
	case <-msg.Context().Done():
	}
}
