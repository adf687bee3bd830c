package durable

import (
	"context"
	"strconv"
	"time"
)

// Defaults of BatchOptions.
const (
	DefaultBatchSize = 100
	DefaultBatchWait = 10 * time.Millisecond
)

// BatchOptions configure ProcessBatch. The zero value takes the defaults; negative values are refused. Concurrency is
// how many batches are handled side by side, and OnAttempt is told about each delivery with the duration of its batch.
type BatchOptions struct {
	ProcessOptions
	// Size is how many deliveries a batch has at most; not more than MaxInFlight. Defaults to 100.
	Size int
	// Wait is how long a batch that is not full waits for more, from its first delivery on. Defaults to 10 ms.
	Wait time.Duration
}

func (o BatchOptions) filled() (BatchOptions, error) {
	err := firstError(notNegative("Size", o.Size), notNegative("Wait", o.Wait))
	if err != nil {
		return o, err
	}
	o.Size = orDefault(o.Size, DefaultBatchSize)
	o.Wait = orDefault(o.Wait, DefaultBatchWait)
	if o.ProcessOptions, err = o.ProcessOptions.filled(); err != nil {
		return o, err
	}
	if o.Size > o.MaxInFlight {
		return o, Invalid("Size", strconv.Itoa(o.Size), "use at most MaxInFlight ("+strconv.Itoa(o.MaxInFlight)+")")
	}
	return o, nil
}

// A BatchHandler handles deliveries together and returns one error for each of them, by index; nil as a whole means
// that all are handled. The errors mean what those of a handler under Process do. Those of another length fail the whole
// batch, and so does a panic.
//
// ctx ends as soon as the claim of any delivery in the batch is lost, and when DrainTimeout is over. The context of each
// message is its own; see DeliveryOf.
type BatchHandler func(ctx context.Context, ds []Delivery) []error

// ProcessBatch is [Process] for a handler that takes several deliveries at once, for stores that are faster that way. All
// that Process promises holds, with these differences.
//
// A batch has up to Size deliveries of any keys, topics and partitions, in fetch order for each key; it may hold several
// of one key, and while it is handled no other batch has that key. When a delivery fails, those of its key behind it in
// the batch are handled again after it, whatever their result was, so that the order of the key is kept.
func ProcessBatch(ctx context.Context, b Backend, g Group, h BatchHandler, o BatchOptions) error {
	if h == nil {
		return Invalid("handler", "nil", "pass a handler")
	}
	o, err := o.filled()
	if err != nil {
		return err
	}
	return processWith(ctx, b, g, func(r *run) {
		r.batch = &batching{handler: h, size: o.Size, wait: o.Wait}
		r.batch.more.L = &r.mu
		r.worker = r.workBatches
	}, o.ProcessOptions)
}
