package durable

import (
	"context"
	"fmt"
	"time"
)

// ackBatch is what is finished and not acknowledged yet.
type ackBatch struct {
	ds            []Delivery
	events, bytes int // finished deliveries, of which AckThrough names the last only
	topics        []topicAcks
}

// topicAcks is the part of one topic in a batch.
type topicAcks struct {
	topic         *TopicStats
	events, bytes int
}

// count adds events of bytes to the part of topic.
func (b *ackBatch) count(topic *TopicStats, events, bytes int) {
	for i := range b.topics {
		if b.topics[i].topic == topic {
			b.topics[i].events += events
			b.topics[i].bytes += bytes
			return
		}
	}
	b.topics = append(b.topics, topicAcks{topic: topic, events: events, bytes: bytes})
}

// ackLoop acknowledges by count, by time, when the engine has nothing else to do, and when told to.
func (r *run) ackLoop() {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	due, ending, armed := false, false, false
	for {
		batch, wait := r.takeAcks(due || ending)
		due = false
		if batch.events > 0 {
			timer.Stop()
			armed = false
			if r.ackErr = r.acknowledge(batch); r.ackErr != nil {
				return
			}
			r.balancePauses()
			continue
		}
		if ending {
			return
		}
		if wait && !armed { // a kick in between does not put the time off
			timer.Reset(r.o.AckInterval)
			armed = true
		}
		select {
		case <-r.ackKick:
		case <-timer.C:
			due, armed = true, false
		case <-r.ackEnd:
			ending = true
		}
	}
}

// takeAcks takes what is to be acknowledged now: all there is, or nothing. wait: there is something for later.
func (r *run) takeAcks(now bool) (b ackBatch, wait bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acks.events == 0 {
		r.flush = false
		return ackBatch{}, false
	}
	idle := r.running == 0 && r.ready.head == nil
	if !now && !r.flush && !idle && r.acks.events < r.o.AckBatch {
		return ackBatch{}, true
	}
	r.flush = false
	r.takePrefixes()
	b, r.acks = r.acks, r.spareAcks
	r.spareAcks = ackBatch{}
	return b, false
}

// takePrefixes adds the completed prefixes to the acknowledgements. Those of claims that are lost are lost with them:
// their acknowledgement would be ignored. The caller holds mu.
func (r *run) takePrefixes() {
	for _, c := range r.dirty {
		if c.claim.Lost() {
			r.acks.events -= c.prefix
			r.acks.bytes -= c.prefixBytes
			c.topic.left(&c.topic.Lost, c.prefix, c.prefixBytes)
			r.held -= c.prefix
			r.heldBytes -= c.prefixBytes
			r.roomChanged()
		} else {
			r.acks.ds = append(r.acks.ds, *c.through)
			r.acks.count(c.topic, c.prefix, c.prefixBytes)
		}
		c.through, c.prefix, c.prefixBytes = nil, 0, 0
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
}

// acknowledge hands b to the consumer, again and again while the error is transient. An error
// that lasts ends fetching.
func (r *run) acknowledge(b ackBatch) error {
	for faults := 0; len(b.ds) > 0; {
		err := r.consumer.Ack(r.acking, b.ds...)
		if err == nil {
			if faults > 0 {
				r.logger.Info("durable: acknowledging again", "failures", faults)
			}
			break
		}
		faults++
		if terminal(err) || r.acking.Err() != nil {
			err = fmt.Errorf("acknowledge %d deliveries: %w", b.events, err)
			r.stopFetch()
			return err
		}
		if faults == 1 {
			r.logger.Warn("durable: acknowledging failed, trying again", "error", err)
		}
		if pause(r.acking, exponential(faults, faultFirst, faultMost)) != nil {
			return fmt.Errorf("acknowledge %d deliveries: %w", b.events, context.Cause(r.acking))
		}
	}
	clear(b.ds)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range b.topics {
		t.topic.left(&t.topic.Acked, t.events, t.bytes)
	}
	r.spareAcks = ackBatch{ds: b.ds[:0], topics: b.topics[:0]}
	r.held -= b.events
	r.heldBytes -= b.bytes
	r.roomChanged()
	return nil
}
