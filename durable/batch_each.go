package durable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"
)

var (
	// errBatchEnded: the handler of the batch panicked; nothing is known about the event.
	errBatchEnded = errors.New("the handler of the batch did not return")
	// errContextLost: a middleware called its handler with a message that has another context.
	errContextLost = errors.New("a middleware has replaced the context of its message")
	// errBehind: an event of the same key failed before.
	errBehind = errors.New("an earlier event of its key failed")
)

// EachOfBatch has a middleware for single messages serve a [BatchHandler]: around each delivery of the batch it runs as
// it would around a handler of that delivery alone, until it calls its handler, whose result is what h says about the
// delivery. h is called once for all deliveries whose middleware has come so far, in their order, and not for one that the
// middleware settles by itself. What stands behind one of its key that the middleware refuses so, with an error, is given
// back (see [Release]), so that h never has it first. What fails in h behind one of its key that failed is to its
// middleware a [Release] too, whatever h says of it, because it is handled again after that one; a [Stop] stays. Where
// middlewares call their handler again, h is called again, with those: after all that was behind them in the batch.
//
// All of it runs on one goroutine: a middleware that waits holds the whole batch, and one that bounds how many handlers
// run side by side must not be used. The handler is to be called by the goroutine that the middleware was called by, which is
// not checked and must not be locked to its thread, with a message whose context comes from the one that it was given,
// else ProcessBatch ends with an error. Messages that the middleware returns are dropped.
func EachOfBatch(m message.HandlerMiddleware, h BatchHandler) BatchHandler {
	handle := m(func(msg *message.Message) ([]*message.Message, error) {
		e, ok := msg.Context().Value(batchKey{}).(*batchEvent)
		if !ok {
			return nil, Stop(errContextLost)
		}
		return nil, e.handled(msg)
	})
	return func(ctx context.Context, ds []Delivery) []error {
		events := make([]*batchEvent, len(ds))
		for i := range ds {
			e := &batchEvent{d: ds[i]}
			e.next, e.stop = iter.Pull(func(yield func(struct{}) bool) { e.run(handle, yield) })
			defer e.stop() // where h panics
			events[i] = e
		}
		settleEach(ctx, begun(events), h)
		errs := make([]error, len(ds))
		for i, e := range events {
			errs[i] = e.err
		}
		return errs
	}
}

// begun has the middleware of each of events begin, but for those behind a refused one of their key, and returns those
// whose middleware calls its handler.
func begun(events []*batchEvent) []*batchEvent {
	var waiting []*batchEvent
	refused := map[ordered]bool{}
	for _, e := range events {
		if refused[e.lane()] {
			e.err = Release(errBehind)
			continue
		}
		if _, more := e.next(); more {
			waiting = append(waiting, e)
			continue
		}
		refused[e.lane()] = e.err != nil && e.d.Key != ""
	}
	return waiting
}

// settleEach goes on with what is waiting for h until the middleware of each has ended.
func settleEach(ctx context.Context, waiting []*batchEvent, h BatchHandler) {
	for ; len(waiting) > 0; waiting = resumed(waiting) {
		ds := make([]Delivery, len(waiting))
		for i, e := range waiting {
			ds[i] = e.d
		}
		tell(waiting, h(ctx, ds))
	}
}

// tell has the middleware of each of events get its result.
func tell(events []*batchEvent, results []error) {
	failed := map[ordered]bool{}
	for i, e := range events {
		switch {
		case results == nil:
			e.result = nil
		case len(results) == len(events):
			e.result = results[i]
		default:
			e.result = fmt.Errorf("the handler of a batch of %d returned %d errors", len(events), len(results))
		}
		if e.result == nil || e.d.Key == "" {
			continue
		}
		if failed[e.lane()] && VerbOf(e.result) != VerbStop {
			e.result = Release(errBehind)
		}
		failed[e.lane()] = true
	}
}

// resumed goes on with events, and returns those whose middleware calls its handler.
func resumed(events []*batchEvent) []*batchEvent {
	var waiting []*batchEvent
	for _, e := range events {
		if _, more := e.next(); more {
			waiting = append(waiting, e)
		}
	}
	return waiting
}

type batchKey struct{}

// batchEvent is a delivery in its middleware, which runs as a coroutine.
type batchEvent struct {
	d      Delivery // its message is the one that the handler is called with
	yield  func(struct{}) bool
	next   func() (struct{}, bool)
	stop   func()
	result error // of h
	err    error // of the middleware
}

// ordered is what deliveries have in common that are handled in order, where the key is not "".
type ordered struct {
	claim *Claim
	key   string
}

func (e *batchEvent) lane() ordered { return ordered{e.d.Claim, e.d.Key} }

// run is the coroutine: it yields where the handler is called.
func (e *batchEvent) run(handle message.HandlerFunc, yield func(struct{}) bool) {
	msg := e.d.Message
	ctx := msg.Context()
	defer func() {
		msg.SetContext(ctx)
		if v := recover(); v != nil {
			e.err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	e.yield = yield
	msg.SetContext(context.WithValue(ctx, batchKey{}, e))
	_, e.err = handle(msg)
}

// handled is the result of the handler for msg.
func (e *batchEvent) handled(msg *message.Message) error {
	e.d.Message = msg
	if !e.yield(struct{}{}) {
		return Release(errBatchEnded)
	}
	return e.result
}
