package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// producer is an asynchronous producer with a client of its own. Nothing may be sent after close.
type producer struct {
	client sarama.Client
	async  sarama.AsyncProducer
	wg     sync.WaitGroup // the two readers of results
}

func newProducer(cfg Config, flush func(*sarama.Config)) (*producer, error) {
	client, err := sarama.NewClient(cfg.Brokers, cfg.producer(flush))
	if err != nil {
		return nil, err
	}
	async, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	p := &producer{client: client, async: async}
	p.wg.Go(func() {
		for m := range async.Successes() {
			m.Metadata.(*slot).finish(m.Partition, m.Offset, nil)
		}
	})
	p.wg.Go(func() {
		for e := range async.Errors() {
			e.Msg.Metadata.(*slot).finish(0, 0, e.Err)
		}
	})
	return p, nil
}

// close lets what is under way finish until ctx is done, then closes the connections under it.
func (p *producer) close(ctx context.Context) error {
	p.async.AsyncClose()
	err := within(ctx, func() error { p.wg.Wait(); return nil })
	if err != nil {
		err = fmt.Errorf("kafka: close the producer: appends were not acknowledged: %w", err)
	}
	return errors.Join(err, within(ctx, p.client.Close))
}

// call is one Append: the slots of its records and the signal that all are finished.
type call struct {
	slots []slot
	left  atomic.Int32
	done  chan struct{}
}

// slot is the outcome of one record. The fields above state are written once, before state becomes true.
type slot struct {
	call      *call
	partition int32
	offset    int64
	err       error
	state     atomic.Bool
}

func newCall(records []sarama.ProducerMessage) *call {
	c := &call{slots: make([]slot, len(records)), done: make(chan struct{})}
	c.left.Store(int32(len(records)))
	for i := range records {
		c.slots[i].call = c
		records[i].Metadata = &c.slots[i]
	}
	return c
}

func (s *slot) finish(partition int32, offset int64, err error) {
	s.partition, s.offset, s.err = partition, offset, err
	s.state.Store(true)
	if s.call.left.Add(-1) == 0 {
		close(s.call.done)
	}
}
