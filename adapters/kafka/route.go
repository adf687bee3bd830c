package kafka

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const (
	firstPause  = 10 * time.Millisecond // before the first repetition; it doubles up to retryBackoff
	metadataAge = 5 * time.Minute       // after which the number of partitions is asked again
)

// lose notes that the leader of l has to be found. The caller holds mu.
func (w *writer) lose(l *lane) {
	l.state = lost
	l.topic.lost = append(l.topic.lost, l)
	w.search(l.topic)
}

// search finds leaders in a goroutine of the writer; there is one for a topic. The caller holds mu.
func (w *writer) search(t *topic) {
	if t.routing {
		return
	}
	t.routing = true
	w.wg.Go(func() {
		for w.route(t) {
		}
	})
}

// route finds the leaders of the lanes that are lost, once, and reports whether there is more to do.
func (w *writer) route(t *topic) bool {
	lanes, stale, wait := w.lostOf(t)
	if len(lanes) == 0 && !stale {
		return false
	}
	if wait > 0 {
		w.pause(wait)
	}
	var err error
	if stale {
		err = unnamed(w.client.RefreshMetadata(t.name))
	}
	n, of := 0, ""
	if err == nil {
		var ids []int32
		ids, err = w.client.Partitions(t.name)
		err = unnamed(err)
		n = len(ids)
	}
	if err == nil && stale {
		of, _ = w.client.Incarnation(t.name)
	}
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) || isDenied(err) {
		w.forget(t, lanes, err)
		return true
	}
	found := make([]leader, len(lanes))
	for i, l := range lanes {
		found[i] = w.leaderOf(l, err)
	}
	w.rejoin(t, n, of, lanes, found)
	return true
}

// lostOf takes the lanes whose leaders have to be found. The search has ended where there is nothing to do.
func (w *writer) lostOf(t *topic) (lanes []*lane, stale bool, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lanes, stale = t.lost, t.stale
	t.lost, t.stale = nil, false
	t.routing = len(lanes) > 0 || stale
	if !t.routing && t.n == 0 {
		w.drop(t)
	}
	for _, l := range lanes {
		if l.attempts > 0 {
			wait = max(wait, min(firstPause<<min(l.attempts-1, 8), retryBackoff))
		}
	}
	return lanes, stale, wait
}

// leader is who leads a partition, and a producer id where the lane needs one.
type leader struct {
	id       int32
	addr     string
	producer int64
	epoch    int16
	err      error
}

// leaderOf asks for the leader of l, unless err says that this is in vain.
func (w *writer) leaderOf(l *lane, err error) leader {
	if err != nil {
		return leader{err: err}
	}
	b, err := w.client.Leader(l.topic.name, l.partition)
	if err != nil {
		return leader{err: err}
	}
	found := leader{id: b.ID(), addr: b.Addr()}
	if l.producer < 0 { // only this goroutine changes it while the lane is lost
		found.producer, found.epoch, found.err = w.newID()
	}
	return found
}

// rejoin hands lanes to the senders of their leaders; those without one are lost again. n is the number of partitions,
// 0 where it is not known, and of the incarnation, "" where that is not known.
func (w *writer) rejoin(t *topic, n int, of string, lanes []*lane, found []leader) {
	w.mu.Lock()
	var done []*call
	if n > 0 {
		w.size(t, n)
	}
	if of != "" {
		t.of = of
	}
	for i, l := range lanes {
		switch f := found[i]; {
		case errors.Is(f.err, sarama.ErrUnknownTopicOrPartition) || isDenied(f.err):
			done = l.failAll(durable.Rejected, translate(denied(f.err, opWrite)), done)
		case f.err != nil:
			l.missed(f.err)
			t.stale = true
		default:
			l.sender = w.senderOf(f.id, f.addr)
			if l.producer < 0 {
				l.producer, l.epoch, l.sequence = f.producer, f.epoch, 0
			}
		}
		w.advance(l, nil)
	}
	w.mu.Unlock()
	finish(done)
}

// remade has the incarnation of t asked for: offsets go back to where they were before, so that it is another topic. The
// caller holds mu.
func (w *writer) remade(t *topic) {
	for _, l := range t.lanes {
		l.next = 0
	}
	t.of, t.stale = "", true
	w.search(t)
}

// forget ends everything that waits for a topic that does not exist or may not be seen; the next append asks for it anew.
func (w *writer) forget(t *topic, lanes []*lane, err error) {
	w.mu.Lock()
	var done []*call
	t.n = 0
	for _, l := range lanes {
		done = l.failAll(durable.Rejected, translate(denied(err, opWrite)), done)
		l.sender = nil
		w.advance(l, nil)
	}
	w.mu.Unlock()
	finish(done)
}

// failAll ends the batch of l and everything in its queue.
func (l *lane) failAll(status durable.Status, err error, done []*call) []*call {
	if l.batch != nil {
		done = l.fail(status, err, done)
	}
	for b := l.fill(maxInt); b != nil; b = l.fill(maxInt) {
		l.batch = nil // it was never sent: the sequence goes on
		done = b.fail(status, err, done)
	}
	return done
}

const maxInt = int(^uint(0) >> 1)

// senderOf is the sender of the broker id at addr. The caller holds mu.
func (w *writer) senderOf(id int32, addr string) *sender {
	old := w.senders[id]
	if old != nil && old.addr == addr {
		return old
	}
	if old != nil {
		w.retire(old)
	}
	s := newSender(w, id, addr)
	w.senders[id] = s
	w.wg.Go(s.run)
	return s
}

// retire ends s, whose broker has moved. The caller holds mu.
func (w *writer) retire(s *sender) {
	close(s.quit)
	w.leave(s)
}

// leave makes all lanes of s look for their leader again: those that wait now, the others when it is their turn. The
// caller holds mu.
func (w *writer) leave(s *sender) {
	ready := s.ready
	s.ready = nil
	for _, t := range w.topics {
		for _, l := range t.lanes {
			if l.sender == s {
				l.sender, t.stale = nil, true
			}
		}
	}
	for _, l := range ready {
		w.lose(l)
	}
}
