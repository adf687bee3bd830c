package durable

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// looks is how often the giver looks for an answer before a goroutine waits for it.
const looks = 8

// giving is what a run has for a Subscriber. One worker, the giver, hands out what is ready, many at a time, and takes
// the answers that come at once. For each that does not a goroutine waits, so that no receiver holds up another.
type giving struct {
	out   chan *message.Message // has room for all that may be given at a time: sending never blocks
	ended atomic.Bool           // nothing more is given
	spare []*original           // of the giver alone; not more than may be given at a time

	mu sync.Mutex // held while messages are taken back; no other lock is taken under it but those of messages
}

// settled is a task whose attempt ended with v.
type settled struct {
	t *task
	v verdict
}

// give is the giver.
func (r *run) give() {
	var open []*given // not answered, the giver's to look at
	var fresh []*task
	var done []settled
	r.mu.Lock()
	r.waking = false
	for {
		fresh = r.takeToGive(fresh[:0])
		if len(open) == 0 && len(fresh) == 0 {
			if r.quit {
				r.mu.Unlock()
				return
			}
			r.rest()
			continue
		}
		r.mu.Unlock()
		for _, t := range fresh {
			open = append(open, r.hand(t))
		}
		runtime.Gosched() // to receivers
		open, done = r.lookAt(open, done[:0])
		r.mu.Lock()
		r.finishGiven(done)
		clear(done)
	}
}

// takeToGive adds what is ready to ts, as far as more may be given. The caller holds mu.
func (r *run) takeToGive(ts []*task) []*task {
	for r.running < cap(r.giving.out) {
		t := r.take()
		if t == nil {
			break
		}
		t.state = taskRunning
		r.running++
		t.claim.topic.Running++
		if t.d.Message == nil || t.d.DecodeErr != nil && r.o.Undecodable != nil { // not for receivers
			r.started++
			r.workers.Go(func() { r.aside(t) })
			continue
		}
		ts = append(ts, t)
	}
	return ts
}

// aside is a worker for t alone.
func (r *run) aside(t *task) {
	err := r.attempt(t)
	var v verdict
	if err != nil {
		v = r.judge(t, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started--
	r.finishGiven([]settled{{t, v}})
	r.wake()
}

// hand gives t to the receivers.
func (r *run) hand(t *task) *given {
	var g *given
	if r.o.OnAttempt == nil {
		g = newGiven(t, r.giving.original())
	} else { // which may read the delivery's own message while a receiver works on after its answer
		g = newGiven(t, nil)
		g.began = time.Now()
	}
	if r.giving.ended.Load() {
		g.takeBack()
		return g
	}
	r.giving.out <- g.msg
	if r.giving.ended.Load() { // perhaps before it was sent
		r.giving.sweep()
	}
	return g
}

// lookAt moves what is answered from open to done, and leaves what was looked at often enough to a goroutine.
func (r *run) lookAt(open []*given, done []settled) ([]*given, []settled) {
	left := open[:0]
	for _, g := range open {
		if ok, err := g.answer(); ok {
			done = append(done, settled{g.t, r.answered(g, err)})
			r.giving.reuse(g)
			continue
		}
		if g.looks++; g.looks < looks {
			left = append(left, g)
			continue
		}
		r.workers.Go(func() { r.await(g) })
	}
	clear(open[len(left):])
	return left, done
}

// await waits for the answer of g, or the end of its attempt.
func (r *run) await(g *given) {
	v := r.answered(g, r.giving.await(g))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finishGiven([]settled{{g.t, v}})
	r.wake()
}

// answered ends the attempt of g, whose error is err.
func (r *run) answered(g *given, err error) (v verdict) {
	g.end()
	if r.o.OnAttempt != nil {
		r.observe(g.t, time.Since(g.began), err)
	}
	if err != nil {
		g.restore()
		v = r.judge(g.t, err)
	}
	return v
}

// finishGiven settles done, giving back what is to be given back with mu unlocked meanwhile. The caller holds mu.
func (r *run) finishGiven(done []settled) {
	var back []Delivery
	for _, d := range done {
		back = append(back, r.finish(d.t, d.v)...)
	}
	if r.running == 0 && r.ready.head == nil && r.acks.events > 0 {
		poke(r.ackKick)
	}
	if len(back) > 0 {
		r.mu.Unlock()
		r.release(back)
		r.mu.Lock()
	}
}

// original is memory for what a message was.
func (s *giving) original() *original {
	n := len(s.spare) - 1
	if n < 0 {
		return &original{}
	}
	o := s.spare[n]
	s.spare = s.spare[:n]
	return o
}

// reuse takes the memory back that g does not need any more.
func (s *giving) reuse(g *given) {
	if o := g.was; o != nil {
		g.was = nil
		o.forget()
		s.spare = append(s.spare, o)
	}
}

// end gives nothing more, and takes back what no receiver has taken.
func (s *giving) end() {
	s.ended.Store(true)
	s.sweep()
}

// sweep takes back what nobody has taken and nobody is to take any more: because nothing is, or because its attempt is
// over.
func (s *giving) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range len(s.out) {
		select {
		case msg := <-s.out:
			g, ok := msg.Context().(*given)
			if ok && (s.ended.Load() || g.Context.Err() != nil) {
				g.takeBack()
				continue
			}
			s.out <- msg // the task of each that was sent is running: there is room
		default:
			return
		}
	}
}

// await is how the attempt of g ends: with the answer of its receiver or without.
func (s *giving) await(g *given) error {
	over := g.Context.Done()
	select {
	case <-g.msg.Acked():
		return nil
	case <-g.msg.Nacked():
		return g.refusal()
	case <-over:
		s.sweep()
		g.msg.Nack()                             // its answer would come too late: nobody is to see it
		return Release(context.Cause(g.Context)) // not of g, whose own end may follow a moment later
	}
}
