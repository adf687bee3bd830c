package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// publish stores and announces all events of the ledger. A batch holds one event of each source, and the next one
// follows when all of it is stored: so the order of a source survives any failure of the broker.
func publish(ctx context.Context, p *dual.Publisher, l *ledger) error {
	for from := 0; from < len(l.events); from += len(l.sources) {
		batch := make([]int, 0, len(l.sources))
		for i := from; i < min(from+len(l.sources), len(l.events)); i++ {
			batch = append(batch, i)
		}
		if err := persist(ctx, p, l, batch); err != nil {
			return err
		}
	}
	return nil
}

// persist publishes the events until all are stored. What is unknown is published again with its id: consumers see
// a duplicate at most.
func persist(ctx context.Context, p *dual.Publisher, l *ledger, batch []int) error {
	const least, most = 20 * time.Millisecond, 500 * time.Millisecond
	for pause := least; ; pause = min(2*pause, most) {
		events := make([]durable.Event, len(batch))
		for k, i := range batch {
			l.publishing(i)
			events[k] = l.events[i]
		}
		receipts, err := p.Publish(ctx, events...)
		var again []int
		for k, r := range receipts {
			switch r.Status {
			case durable.Stored:
				l.storing(batch[k], r.Announced)
			case durable.Rejected:
				return fmt.Errorf("event %s was rejected: %w", r.ID, r.Err)
			default:
				again = append(again, batch[k])
			}
		}
		if err == nil {
			return nil
		}
		var partial *durable.BatchError
		if !errors.As(err, &partial) {
			return err
		}
		if batch = again; len(batch) == 0 {
			return nil
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
