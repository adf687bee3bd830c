package durable

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// attemptBatch handles ts once, outside of any lock, and tells what becomes of each.
func (r *run) attemptBatch(ts []*task) []verdict {
	start := time.Now()
	errs := r.invokeBatch(ts)
	took := time.Since(start)
	if r.o.OnAttempt != nil {
		for i, err := range errs {
			r.observe(ts[i], took, err)
		}
	}
	return r.judgeBatch(ts, errs)
}

// judgeBatch is judge for each of ts; of those that ask for the same the first alone is logged.
func (r *run) judgeBatch(ts []*task, errs []error) []verdict {
	vs := make([]verdict, len(ts))
	var told [VerbStop + 1]bool
	for i, err := range errs {
		if err == nil {
			continue
		}
		vs[i] = r.verdict(ts[i], err)
		if verb := vs[i].verb; !told[verb] {
			told[verb] = true
			r.tell(ts[i], vs[i])
		}
	}
	return vs
}

// invokeBatch runs the handlers on ts and returns an error for each. Undecodable ones go to their own handler, where
// there is one.
func (r *run) invokeBatch(ts []*task) []error {
	errs := make([]error, len(ts))
	ds := make([]Delivery, 0, len(ts))
	at := make([]int, 0, len(ts))
	for i, t := range ts {
		t.d.Message.SetContext(t.ctx)
		if t.d.DecodeErr != nil && r.o.Undecodable != nil {
			errs[i] = r.guardBatch(ts, func() []error { return []error{r.o.Undecodable(t.ctx, r.delivery(t.ctx))} })[0]
			continue
		}
		ds, at = append(ds, r.delivery(t.ctx)), append(at, i)
	}
	if len(ds) == 0 {
		return errs
	}
	ctx, end := r.batchContext(ts)
	defer end()
	got := r.guardBatch(ts, func() []error { return r.batch.handler(ctx, ds) })
	for k, i := range at {
		switch {
		case len(got) == len(ds):
			errs[i] = got[k]
		case len(got) == 1 && isPanic(got[0]):
			errs[i] = got[0]
		case got != nil:
			errs[i] = fmt.Errorf("the handler of a batch of %d returned %d errors", len(ds), len(got))
		}
	}
	return errs
}

func isPanic(err error) bool {
	var p *PanicError
	return errors.As(err, &p)
}

// guardBatch calls handle; a panic becomes its only error. A handler that calls runtime.Goexit takes the worker with it:
// ts are settled on the way out, as failed.
func (r *run) guardBatch(ts []*task, handle func() []error) (errs []error) {
	returned := false
	defer func() {
		v := recover()
		if v == nil && !returned {
			r.exitedBatch(ts)
			return
		}
		if v != nil {
			p := &PanicError{Value: v, Stack: debug.Stack()}
			r.tellPanic(ts, p)
			errs = []error{p}
		}
	}()
	errs = handle()
	returned = true
	return errs
}

// exitedBatch settles ts, whose handler ends the worker, and makes room for another worker.
func (r *run) exitedBatch(ts []*task) {
	errs := make([]error, len(ts))
	for i := range errs {
		errs[i] = errExited
	}
	vs := r.judgeBatch(ts, errs)
	r.mu.Lock()
	r.started--
	back := r.finishBatch(ts, vs)
	r.wake()
	r.mu.Unlock()
	r.release(back)
}

// batchContext has the values of the context that ProcessBatch was given, and ends with that of any claim in ts.
func (r *run) batchContext(ts []*task) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.values))
	var stops []func() bool
	var last *claimed
	for _, t := range ts {
		if c := t.claim; c != last {
			last = c
			stops = append(stops, context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) }))
		}
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}
