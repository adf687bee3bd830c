package prometheus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// lag asks a backend how far a group is behind: at scrape, at most once every Options.LagFresh, and never twice at the
// same time. A scrape begins with all of them before it waits for the first.
type lag struct {
	reporter durable.LagReporter
	group    string
	topics   []durable.TopicStart
	fresh    time.Duration
	timeout  time.Duration

	mu      sync.Mutex
	running chan struct{} // closed when the call that runs returns; nil while none runs
	at      time.Time     // of what follows
	known   map[string]topicLag
	failed  uint64
}

// topicLag is the sum over the partitions of which it is known.
type topicLag struct{ lag, pending int64 }

func newLag(o Options, r durable.LagReporter, g durable.Group) *lag {
	return &lag{reporter: r, group: g.Name, topics: g.Topics, fresh: o.LagFresh, timeout: o.LagTimeout}
}

// read is what is known after done, which begin returned, or at due. Topics of which nothing is known are absent.
func (l *lag) read(done <-chan struct{}, due time.Time) (known map[string]topicLag, failed uint64) {
	if done != nil {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > l.fresh+l.timeout {
		return nil, l.failed // too old to be shown
	}
	return l.known, l.failed
}

// begin starts asking unless that runs or what is known is fresh, and returns what to wait for.
func (l *lag) begin() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil {
		return l.running
	}
	if !l.at.IsZero() && time.Since(l.at) < l.fresh {
		return nil
	}
	l.running = make(chan struct{})
	go l.ask() // one at a time, and bounded as far as the backend heeds its context
	return l.running
}

func (l *lag) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	known, failed := make(map[string]topicLag, len(l.topics)), uint64(0)
	for _, t := range l.topics {
		partitions, err := l.reporter.Lag(ctx, l.group, t.Topic)
		switch {
		case errors.Is(err, durable.ErrInvalid), errors.Is(err, durable.ErrTopicNotFound):
			continue // the group has not joined yet, or the topic does not exist yet
		case err != nil:
			failed++
			continue
		}
		sum := topicLag{}
		for _, p := range partitions {
			sum.lag += max(p.Lag, 0)
			sum.pending += max(p.Pending, 0)
		}
		known[t.Topic] = sum
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.known = time.Now(), known
	l.failed += failed
	close(l.running)
	l.running = nil
}
