package redispubsub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/realtime"
)

const (
	connectTimeout = 5 * time.Second
	leastBackoff   = 20 * time.Millisecond
	mostBackoff    = 2 * time.Second
)

// reader keeps a subscription connected and reads from its connection.
type reader struct {
	s     *subscription
	first chan error // the outcome of the first connection; room for one
	begun bool       // the first connection was confirmed; that of a leg, in part
	gap   realtime.GapReason
	wait  time.Duration // before the next attempt

	failures int // of a leg, before it begun
}

// run ends with the subscription, or when the first connection fails.
func (r *reader) run() {
	s := r.s
	defer close(s.done)
	if s.home == nil {
		defer s.b.forget(s)
		defer s.inbox.Close()
	}
	defer s.cancel()
	for s.ctx.Err() == nil {
		err := r.connection()
		if s.ctx.Err() != nil {
			break
		}
		if s.home != nil && r.elsewhere(err) {
			return
		}
		if s.home == nil && !r.begun {
			r.first <- down(err)
			return
		}
		if r.begun && r.gap == realtime.GapNone {
			r.gap = reason(err)
			s.b.cfg.Logger.Warn("redispubsub: subscription lost its connection", "error", err)
		}
		r.pause()
	}
	if !r.begun {
		r.first <- realtime.ErrClosed
	}
}

// elsewhere deals with the end of a connection to a node of a cluster, and tells whether nothing is left for it.
func (r *reader) elsewhere(err error) (over bool) {
	gap := reason(err)
	if !r.begun {
		gap = realtime.GapNone
		if r.failures++; r.failures >= firstAttempts {
			r.s.refuse(err)
		}
	}
	if owed := r.s.allPaid(); owed != realtime.GapNone {
		gap = owed
	}
	over = r.s.home.settle(r.s, gap)
	if !over {
		r.s.owe(r.s.channels(), gap)
	}
	return over
}

var errSilent = errors.New("no answer to a probe")

func reason(err error) realtime.GapReason {
	if errors.Is(err, errSilent) {
		return realtime.GapSilence
	}
	return realtime.GapReconnect
}

// connection connects and reads until that fails.
func (r *reader) connection() error {
	n, err := r.s.open()
	if err != nil {
		return err
	}
	defer n.end()
	w := watch{ps: n.ps, idle: r.s.b.cfg.ProbeIdle, stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	defer func() {
		close(w.stop)
		<-w.stopped
	}()
	if n.left == 0 {
		r.ready()
	}
	for {
		ready, err := n.receive()
		if err != nil {
			r.s.refusal(err)
			if w.silent.Load() {
				return fmt.Errorf("%w: %w", errSilent, err)
			}
			return err
		}
		w.reads.Add(1)
		r.begun = r.begun || r.s.home != nil && len(n.exact) > 0 // who subscribed to that channel may know it already
		if ready {
			r.ready()
		}
	}
}

// ready is called when the broker has confirmed every channel of a new connection.
func (r *reader) ready() {
	r.wait = 0
	if r.s.home != nil {
		r.allThere()
		return
	}
	if !r.begun {
		r.begun = true
		r.first <- nil
		return
	}
	r.s.inbox.Gap(r.gap)
	r.s.b.cfg.Logger.Info("redispubsub: subscription is connected again", "gap", r.gap.String())
	r.gap = realtime.GapNone
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.tell()
}

// allThere is ready of a leg, whose gaps were told by the confirmations.
func (r *reader) allThere() {
	if r.begun && r.gap != realtime.GapNone {
		r.s.b.cfg.Logger.Info("redispubsub: subscription is connected again", "gap", r.gap.String())
	}
	r.begun, r.gap, r.failures = true, realtime.GapNone, 0
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.tell()
}

// pause waits before the next attempt, longer each time, with jitter.
func (r *reader) pause() {
	r.wait = min(mostBackoff, max(leastBackoff, 2*r.wait))
	timer := time.NewTimer(r.wait/2 + rand.N(r.wait/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.s.ctx.Done():
	}
}

// refusal notes an error reply, such as that of an access rule, for whoever asked for the change.
func (s *subscription) refusal(err error) {
	var reply redis.Error
	if !errors.As(err, &reply) || s.home != nil && s.b.cfg.Moved(err, s.node) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = err
	s.refusals++
	s.tell()
}

// watch probes a connection that is silent and closes it when it does not answer. A read with a timeout would not
// do: one that ends within a reply keeps the connection and loses its place in it.
type watch struct {
	ps      *redis.PubSub
	idle    time.Duration
	reads   atomic.Int64 // replies so far
	silent  atomic.Bool  // the connection was closed here
	stop    chan struct{}
	stopped chan struct{}
}

func (w *watch) run() {
	defer close(w.stopped)
	ticker := time.NewTicker(w.idle)
	defer ticker.Stop()
	seen, probed := int64(0), true // the connection began with a ping
	for {
		select {
		case <-ticker.C:
		case <-w.stop:
			return
		}
		now := w.reads.Load()
		switch {
		case now != seen:
			seen, probed = now, false
		case probed:
			w.silent.Store(true)
			_ = w.ps.Close()
			return
		default:
			probed = w.ps.Ping(severed()) == nil // on an error the reader finds out
		}
	}
}
