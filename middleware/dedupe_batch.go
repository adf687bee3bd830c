package middleware

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/durable"
)

// Batch is Middleware for durable.ProcessBatch: one call of the store before h and one after it, for the whole batch.
// h is given what is to be handled, and nothing that stands behind a busy event of its key. An event that succeeded
// behind one of its key that failed is given up, because ProcessBatch has it handled again.
func (d *Dedupe) Batch(h durable.BatchHandler) durable.BatchHandler {
	s, err := d.open()
	if err != nil {
		return refuseBatch(err)
	}
	return func(ctx context.Context, ds []durable.Delivery) []error {
		b := &dedupeBatch{s: s, ds: ds, errs: make([]error, len(ds)), attempts: make([]*attempt, len(ds))}
		return b.handle(ctx, h)
	}
}

// dedupeBatch is one batch at work. attempts and errs have an element per delivery.
type dedupeBatch struct {
	s        *dedupe
	ds       []durable.Delivery
	errs     []error
	attempts []*attempt // nil where the delivery has no key, or is out of it
	held     []Settlement
	todo     []durable.Delivery
	at       []int // of todo in ds
	stuck    map[string]bool
}

func (b *dedupeBatch) handle(ctx context.Context, h durable.BatchHandler) []error {
	rs, err := b.begin()
	if err != nil {
		return repeated(durable.Stop(err), len(b.ds))
	}
	if len(rs) > 0 {
		err = b.s.ask(ctx, rs)
	}
	if err != nil {
		b.drop()
		return b.withoutStore(ctx, h, err)
	}
	b.sort(rs)
	defer b.settle(ctx) // also where h panics: then nothing is remembered
	if len(b.todo) == 0 {
		return b.errs
	}
	results := h(ctx, b.todo)
	if results != nil && len(results) != len(b.todo) {
		return repeated(fmt.Errorf("dedupe: the handler returned %d results for %d events", len(results), len(b.todo)), len(b.ds))
	}
	b.judge(results)
	return b.errs
}

// begin makes an attempt and a reservation for every delivery with a key.
func (b *dedupeBatch) begin() ([]Reservation, error) {
	rs := make([]Reservation, 0, len(b.ds))
	for i := range b.ds {
		msg := b.ds[i].Message
		key := b.s.key(msg)
		if key == "" {
			b.s.counts.unkeyed.Add(1)
			continue
		}
		group, _, err := b.s.groupOf(msg.Context())
		if err != nil {
			b.drop()
			return nil, err
		}
		b.attempts[i] = b.s.attempts.begin(group + dedupeSeparator + key)
		rs = append(rs, b.attempts[i].reservation[0])
	}
	return rs, nil
}

// sort makes todo of what is to be handled. What was handled before is done, and what is busy fails as such, with what
// stands behind it.
func (b *dedupeBatch) sort(rs []Reservation) {
	b.todo, b.at = make([]durable.Delivery, 0, len(b.ds)), make([]int, 0, len(b.ds))
	for i := range b.ds {
		state, a := DedupeReserved, b.attempts[i]
		if a != nil {
			state, rs = rs[0].State, rs[1:]
		}
		switch state {
		case DedupeHandled:
			b.s.counts.duplicates.Add(1)
		case DedupeBusy:
			b.s.counts.busy.Add(1)
			b.errs[i] = b.s.busy
			b.stick(b.ds[i].Key)
		default:
			if a != nil {
				b.s.attempts.watch(a)
				b.held = append(b.held, Settlement{Key: a.reservation[0].Key, Token: a.reservation[0].Token})
			}
			if b.stuck[b.ds[i].Key] {
				b.errs[i] = b.s.busy
				continue
			}
			b.todo, b.at = append(b.todo, b.ds[i]), append(b.at, i)
			continue
		}
		if a != nil {
			b.s.attempts.drop(a)
			b.attempts[i] = nil
		}
	}
}

// stick notes that nothing behind a delivery of key counts.
func (b *dedupeBatch) stick(key string) {
	if key == "" {
		return
	}
	if b.stuck == nil {
		b.stuck = make(map[string]bool)
	}
	b.stuck[key] = true
}

// judge takes the results of todo: what succeeded, and nothing of its key failed or was busy before, is remembered.
func (b *dedupeBatch) judge(results []error) {
	b.stuck = nil
	keep := make(map[uint64]bool, len(b.todo))
	k := 0
	for i := range b.ds {
		key := b.ds[i].Key
		if k < len(b.at) && b.at[k] == i {
			if results != nil {
				b.errs[i] = results[k]
			}
			k++
			if a := b.attempts[i]; a != nil && b.errs[i] == nil && !b.stuck[key] {
				keep[a.reservation[0].Token] = true
			}
		}
		if b.errs[i] != nil {
			b.stick(key)
		}
	}
	for i := range b.held {
		if keep[b.held[i].Token] {
			b.held[i].Keep = b.s.keep
		}
	}
}

// settle tells the store how the batch ended.
func (b *dedupeBatch) settle(ctx context.Context) {
	for _, a := range b.attempts {
		if a != nil {
			b.s.attempts.unwatch(a)
		}
	}
	if len(b.held) > 0 {
		if err := b.s.store.Settle(context.WithoutCancel(ctx), b.held); err != nil {
			b.s.counts.unsettled.Add(uint64(len(b.held)))
			b.s.observe(ctx, err)
		}
	}
	for _, h := range b.held {
		if h.Keep > 0 {
			b.s.counts.handled.Add(1)
		} else {
			b.s.counts.released.Add(1)
		}
	}
	b.drop()
}

// drop gives the attempts back; nobody watches them any more.
func (b *dedupeBatch) drop() {
	for i, a := range b.attempts {
		if a != nil {
			b.s.attempts.drop(a)
			b.attempts[i] = nil
		}
	}
}

// withoutStore does what StoreDown says.
func (b *dedupeBatch) withoutStore(ctx context.Context, h durable.BatchHandler, err error) []error {
	n := uint64(len(b.ds))
	switch {
	case ctx.Err() != nil:
		return repeated(durable.Release(fmt.Errorf("dedupe: %w", context.Cause(ctx))), len(b.ds))
	case b.s.open:
		b.s.counts.unchecked.Add(n)
		return h(ctx, b.ds)
	}
	b.s.counts.held.Add(n)
	err = fmt.Errorf("dedupe: the store is down, and events are held: %w", err)
	return repeated(durable.Release(durable.RetryAfter(err, dedupeStorePause)), len(b.ds))
}

func repeated(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
