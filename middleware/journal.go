package middleware

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/dualstream/dualstream/durable"
)

// journal keeps what a policy has to remember of a delivery between its attempts under durable.Process. A note goes
// when it is dropped, and when the claim of its delivery ends, because the delivery is somebody else's then.
type journal[T any] struct {
	size  atomic.Int64 // lets deliveries that never failed pass without the lock
	mu    sync.Mutex
	notes map[place]*note[T]
	gone  func(T) // told of every note that goes; nil: nobody
}

// place identifies a delivery.
type place struct {
	claim    *durable.Claim
	topic    string
	position durable.Position
}

type note[T any] struct {
	value T
	stop  func() bool // of the watch over the claim
}

func placeOf(d durable.Delivery) place {
	return place{claim: d.Claim, topic: d.Topic, position: d.Position}
}

// empty tells whether there are no notes at all.
func (j *journal[T]) empty() bool { return j.size.Load() == 0 }

// get is the note of p, the zero value where there is none.
func (j *journal[T]) get(p place) (T, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.notes[p]
	if n == nil {
		var zero T
		return zero, false
	}
	return n.value, true
}

// set replaces the note of p; ctx is that of the delivery.
func (j *journal[T]) set(ctx context.Context, p place, v T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := j.notes[p]; n != nil {
		n.value = v
		return
	}
	if j.notes == nil {
		j.notes = make(map[place]*note[T])
	}
	n := &note[T]{value: v}
	j.notes[p] = n
	j.size.Add(1)
	n.stop = context.AfterFunc(ctx, func() { j.forget(p, n) })
}

// drop removes the note of p, where there is one.
func (j *journal[T]) drop(p place) {
	j.mu.Lock()
	n := j.notes[p]
	j.mu.Unlock()
	if n != nil {
		n.stop()
		j.forget(p, n)
	}
}

// forget removes n unless it was dropped already.
func (j *journal[T]) forget(p place, n *note[T]) {
	j.mu.Lock()
	mine := j.notes[p] == n
	if mine {
		delete(j.notes, p)
		j.size.Add(-1)
	}
	j.mu.Unlock()
	if mine && j.gone != nil {
		j.gone(n.value)
	}
}
