package durable

import (
	"errors"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
)

// PublisherStats is what a Publisher has in flight and what became of the rest, in events.
type PublisherStats struct {
	InFlight      int // events handed to the backend and not yet answered
	InFlightBytes int // their bytes
	Waiting       int // calls that wait for room

	Calls       uint64 // of the backend's Append that have returned
	Stored      uint64 // events acknowledged by the backend
	StoredBytes uint64 // their bytes
	Failed      uint64 // events that the backend rejected, did not send, or knows nothing about
	Refused     uint64 // events refused for want of room
	Invalid     uint64 // events of calls that were refused as invalid or too large
}

// publisherCounters are those of PublisherStats.
type publisherCounters struct {
	calls, stored, storedBytes, failed, refused, invalid atomic.Uint64
}

// Stats tells what is in flight now and what was counted so far.
func (p *Publisher) Stats() PublisherStats {
	events, bytes, waiting := p.gate.usage()
	c := &p.counters
	return PublisherStats{
		InFlight: events, InFlightBytes: bytes, Waiting: waiting,
		Calls: c.calls.Load(), Stored: c.stored.Load(), StoredBytes: c.storedBytes.Load(), Failed: c.failed.Load(),
		Refused: c.refused.Load(), Invalid: c.invalid.Load(),
	}
}

// appended counts the outcome of an Append of msgs, which have size bytes.
func (c *publisherCounters) appended(msgs []*message.Message, size int, err error) {
	c.calls.Add(1)
	stored := len(msgs)
	if err != nil {
		stored, size = 0, 0
		var batch *BatchError
		if errors.As(err, &batch) && len(batch.Outcomes) == len(msgs) {
			for i, o := range batch.Outcomes {
				if o.Status == Stored {
					stored++
					size += Size(msgs[i])
				}
			}
		}
	}
	c.stored.Add(uint64(stored))
	c.storedBytes.Add(uint64(size))
	c.failed.Add(uint64(len(msgs) - stored))
}
