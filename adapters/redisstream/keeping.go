package redisstream

import (
	"context"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const (
	trimEvery  = time.Second      // between looks at topics that were appended to
	agePart    = 100              // topics with a retention are looked at this many times within it
	ageMost    = time.Minute      // and at least so often
	trimTime   = 10 * time.Second // bound of a look
	lenPart    = 10               // appends by this part of the maximum length make a look due at once
	leastToLen = 100
)

// keeping is how much of a topic is kept.
type keeping struct {
	maxLen    int64
	retention time.Duration
}

// keepingOf is what was said when topic was created, else what is configured.
func (b *Backend) keepingOf(topic string) keeping {
	if k := b.shapes.keeping(topic); k.any() {
		return k
	}
	return keeping{maxLen: b.cfg.MaxLen, retention: b.cfg.Retention}
}

func (k keeping) any() bool { return k.maxLen > 0 || k.retention > 0 }

// kept is a topic that this backend has appended to and that is to be trimmed.
type kept struct {
	keeping
	added  int64 // since the last look
	looked time.Time
	held   bool // the last look was stopped by what a group has not read
	failed bool // the last look was refused, or did not reach the server
}

// trimmer trims the topics that a backend appends to, in the background.
type trimmer struct {
	b      *Backend
	kick   chan struct{} // capacity 1: a look is due
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	topics map[string]*kept // nil until the first append to a topic with a bound
}

func (b *Backend) newTrimmer() *trimmer {
	t := &trimmer{b: b, kick: make(chan struct{}, 1)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// appended notes n entries that were stored in topic.
func (t *trimmer) appended(topic string, n int) {
	k := t.b.keepingOf(topic)
	if !k.any() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return
	}
	if t.topics == nil {
		t.topics = map[string]*kept{}
		t.work.Go(t.run)
	}
	have := t.topics[topic]
	if have == nil {
		have = &kept{}
		t.topics[topic] = have
	}
	have.keeping = k
	have.added += int64(n)
	if k.maxLen > 0 && have.added >= max(k.maxLen/lenPart, leastToLen) {
		poke(t.kick)
	}
}

func (t *trimmer) run() {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.kick:
		case <-t.ctx.Done():
			return
		}
		for topic, k := range t.due() {
			t.look(topic, k)
		}
	}
}

// due is the topics to look at now.
func (t *trimmer) due() map[string]keeping {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, out := time.Now(), map[string]keeping{}
	for topic, k := range t.topics {
		since := now.Sub(k.looked)
		full := k.maxLen > 0 && k.added >= max(k.maxLen/lenPart, leastToLen)
		recent := k.added > 0 && since >= trimEvery
		old := k.retention > 0 && since >= max(min(k.retention/agePart, ageMost), trimEvery)
		if full || recent || old || k.held && since >= trimEvery {
			out[topic] = k.keeping
			k.added, k.looked = 0, now
		}
	}
	return out
}

// look trims one topic and logs when unread entries begin or cease to keep it from its bound.
func (t *trimmer) look(topic string, k keeping) {
	ctx, cancel := context.WithTimeout(t.ctx, trimTime)
	defer cancel()
	how := durable.Trim{MaxLen: k.maxLen, Exact: t.b.cfg.ExactTrim, AllowUnread: t.b.cfg.AllowUnread}
	n, err := t.b.partitions(ctx, topic)
	held := false
	for p := 0; err == nil && p < n; p++ {
		var got durable.Trimmed
		got, err = t.b.trimStream(ctx, streamKey(topic, p, n), how, k.retention)
		held = held || got.Held
	}
	if t.ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	of := t.topics[topic]
	failed, changed := err != nil && !of.failed, err == nil && of.held != held
	of.failed = err != nil
	if err == nil {
		of.held = held
	} else {
		of.added++ // so that it is looked at again
	}
	t.mu.Unlock()
	switch {
	case failed:
		t.b.logger().Warn("redisstream: the topic cannot be trimmed, trying again", "topic", topic, "error", err)
	case changed && held:
		t.b.logger().Warn("redisstream: the topic exceeds its bound, because a group has not acknowledged its oldest entries", "topic", topic)
	case changed:
		t.b.logger().Info("redisstream: the topic is within its bound again", "topic", topic)
	}
}

// close ends the background work.
func (t *trimmer) close() {
	t.mu.Lock()
	t.cancel()
	t.mu.Unlock()
	t.work.Wait()
}
