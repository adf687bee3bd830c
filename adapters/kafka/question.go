package kafka

import (
	"context"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// question is a look-up of a topic, one for all who wait for it: a broker that does not answer is asked once, however
// many callers come and leave meanwhile.
type question struct {
	done chan struct{} // closed when err is set
	err  error
}

// ask has topic looked up, which may outlive the call, and reports whether that began with it.
func (w *writer) ask(name string) (q *question, began bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.questions[name]; q != nil {
		return q, false
	}
	q = &question{done: make(chan struct{})}
	w.questions[name] = q
	w.asks.Go(func() {
		q.err = w.find(name)
		w.mu.Lock()
		delete(w.questions, name)
		w.mu.Unlock()
		close(q.done)
	})
	return q, true
}

// findTopic makes the writer know topic; ErrTopicNotFound where it does not exist.
func (b *Backend) findTopic(ctx context.Context, topic string, bound <-chan time.Time) error {
	for round := 1; ; round++ {
		q, began := b.writer.ask(topic)
		select {
		case <-q.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-bound:
			return errAppendTimeout
		case <-b.life.Done():
			return durable.ErrClosed
		}
		if began || round > 1 || q.err == nil { // else the topic may have been made since it was asked for
			return translate(denied(q.err, opWrite))
		}
	}
}
