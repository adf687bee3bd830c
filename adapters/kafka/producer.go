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
	feed   chan *call     // unbuffered: what it takes is the feeder's
	wg     sync.WaitGroup // the feeder and the two readers of results
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
	p := &producer{client: client, async: async, feed: make(chan *call)}
	p.wg.Go(p.feeder)
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

// feeder hands over one call after the other; it ends with close.
func (p *producer) feeder() {
	defer p.async.AsyncClose()
	input := p.async.Input()
	for c := range p.feed {
		for i := range c.records {
			if !c.fed.CompareAndSwap(int32(i), int32(i+1)) {
				break // the caller left
			}
			input <- &c.records[i]
		}
	}
}

// close lets what is under way finish until ctx is done, then closes the connections under it.
func (p *producer) close(ctx context.Context) error {
	close(p.feed)
	err := within(ctx, func() error { p.wg.Wait(); return nil })
	if err != nil {
		err = fmt.Errorf("kafka: close the producer: appends were not acknowledged: %w", err)
	}
	return errors.Join(err, within(ctx, p.client.Close))
}

// call is one Append: its records, their slots and the signal that all are finished.
type call struct {
	records []sarama.ProducerMessage
	slots   []slot
	fed     atomic.Int32 // records that the feeder took; stopped: it takes no more
	left    atomic.Int32
	done    chan struct{}
}

// slot is the outcome of one record. The fields above state are written once, before state becomes true.
type slot struct {
	call      *call
	partition int32
	offset    int64
	err       error
	state     atomic.Bool
}

const stopped = -1

// stop keeps the feeder from taking more and returns how many it took.
func (c *call) stop() int { return int(c.fed.Swap(stopped)) }

func newCall(records []sarama.ProducerMessage) *call {
	c := &call{records: records, slots: make([]slot, len(records)), done: make(chan struct{})}
	c.left.Store(int32(len(records)))
	for i := range records {
		c.slots[i].call = c
		records[i].Metadata = &c.slots[i]
		records[i].Offset = -1 // stays where the broker answers that the record is a duplicate
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
