package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// lacking is a cluster without topics, which takes a second to say so.
type lacking struct {
	finder
	asked atomic.Int32
}

func (l *lacking) Partitions(string) ([]int32, error) {
	l.asked.Add(1)
	time.Sleep(time.Second)
	return nil, sarama.ErrUnknownTopicOrPartition
}

func (l *lacking) InitProducerID() (*sarama.InitProducerIDResponse, error) {
	return &sarama.InitProducerIDResponse{}, nil
}

// TestATopicIsLookedUpOnceForAllWhoWait has callers who come during a look-up ask once more, together, because the topic may
// have been made since that began.
func TestATopicIsLookedUpOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &lacking{}
		w, err := newWriter(Config{}.filled().producer(), cluster, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &Backend{writer: w}
		b.life, b.end = context.WithCancelCause(t.Context())
		defer b.end(nil)
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				if err := b.findTopic(t.Context(), "t", nil); !errors.Is(err, durable.ErrTopicNotFound) {
					t.Errorf("got %v, want ErrTopicNotFound", err)
				}
			})
		}
		callers.Wait()
		if got := cluster.asked.Load(); got != 2 {
			t.Errorf("asked %d times, want 2", got)
		}
	})
}
