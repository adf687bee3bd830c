package durable

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

type taskState uint8

const (
	taskQueued   taskState = iota // ready, or in its lane behind another
	taskRunning                   // a worker has it
	taskWaiting                   // failed; its retry is scheduled
	taskParked                    // set aside until the claim ends
	taskDone                      // handled, but something before it in the window is not (AckThrough)
	taskFailed                    // not handled, and its claim is draining: to be given back
	taskReleased                  // no longer ours
)

// task is a delivery in the engine. All fields but d, ctx and pristine are guarded by run.mu.
type task struct {
	d        *Delivery
	ctx      *deliveryContext
	first    deliveryContext // ctx of the first attempt
	claim    *claimed
	lane     *lane // nil where the key has no order
	next     *task // in the lane's or the ready queue
	size     int
	since    time.Time // when it was fetched
	state    taskState
	gap      bool             // something before it in the window was released: it can no longer be acknowledged (AckThrough)
	pristine *message.Message // of a Subscriber: what receivers of later attempts get copies of; nil: of d

	before, after *task // in the window of the claim
}

// claimed is a claim in the engine, with its window: the deliveries held, in fetch order. Guarded by run.mu.
type claimed struct {
	claim    *Claim
	ctx      context.Context // of handlers: ends with the claim, or when the time to drain is over
	cancel   context.CancelCauseFunc
	lanes    map[string]*lane
	topic    *TopicStats
	draining bool
	hurried  bool // nothing more is started, see releaseIdle
	ended    bool
	empty    chan struct{} // closed when the claim is draining and its window is empty

	head, tail *task
	held       int // in the window
	heldBytes  int
	paused     bool // see balancePauses

	through             *Delivery // AckThrough: last of the completed prefix that is not acknowledged yet,
	prefix, prefixBytes int       // and what it has
}

func (c *claimed) push(t *task) {
	t.before = c.tail
	if c.tail == nil {
		c.head = t
	} else {
		c.tail.after = t
	}
	c.tail = t
	c.held++
	c.heldBytes += t.size
}

func (c *claimed) unlink(t *task) {
	if t.before == nil {
		c.head = t.after
	} else {
		t.before.after = t.after
	}
	if t.after == nil {
		c.tail = t.before
	} else {
		t.after.before = t.before
	}
	t.before, t.after = nil, nil
	c.held--
	c.heldBytes -= t.size
}

// settle takes a handled task into the acknowledgements. The caller holds mu.
func (r *run) settle(t *task) {
	c := t.claim
	t.state = taskDone
	if !r.throughMode {
		c.unlink(t)
		r.acks.ds = append(r.acks.ds, *t.d)
		r.acks.count(c.topic, 1, t.size)
		r.countAck(t)
		return
	}
	for h := c.head; h != nil && h.state == taskDone; h = c.head {
		c.unlink(h)
		if c.through == nil {
			r.dirty = append(r.dirty, c)
		}
		c.through = h.d
		c.prefix++
		c.prefixBytes += h.size
		r.countAck(h)
	}
}

func (r *run) countAck(t *task) {
	r.acks.events++
	r.acks.bytes += t.size
	if r.acks.events == 1 || r.acks.events == r.o.AckBatch {
		poke(r.ackKick)
	}
}

// forget takes t out of the window without acknowledging it, and counts it there. The caller holds mu.
func (r *run) forget(t *task, counter *uint64) {
	t.claim.unlink(t)
	switch t.state {
	case taskWaiting:
		r.waiting--
		t.claim.topic.Waiting--
		poke(r.retryAt) // to forget it
	case taskParked:
		r.parked--
		t.claim.topic.Parked--
	}
	t.claim.topic.left(counter, 1, t.size)
	t.state = taskReleased
	r.held--
	r.heldBytes -= t.size
}
