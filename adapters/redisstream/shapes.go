package redisstream

import (
	"sync"
	"time"
)

// shapeTTL is how long a looked up number of partitions is used before it is looked up again.
const shapeTTL = time.Second

// shape is what is known of a topic, such as its number of partitions.
type shape struct {
	n       int
	keep    keeping
	until   time.Time // after which one caller looks it up again
	looking bool      // one caller does; the others use n
}

// shapes caches the shapes of topics.
type shapes struct {
	mu      sync.Mutex
	byTopic map[string]*shape
	changes uint64 // how often one was noted that no look had found, or forgotten
}

// seen is what refresh wants to know of before the look.
func (s *shapes) seen() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// get returns what is cached, nil where that is nothing; fresh is false where the caller is to look it up.
func (s *shapes) get(topic string) (c *shape, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.byTopic[topic]
	switch {
	case c == nil:
		return nil, false
	case c.looking, time.Now().Before(c.until):
		return c, true
	default:
		c.looking = true
		return c, false
	}
}

// refresh stores what a look at the server found, before which seen was asked: what others noted or forgot since then is
// newer, and the next get has it looked up again.
func (s *shapes) refresh(topic string, seen uint64, n int, k keeping) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == seen {
		s.set(topic, &shape{n: n, keep: k, until: time.Now().Add(shapeTTL)})
	} else if c := s.byTopic[topic]; c != nil {
		c.looking = false
	}
}

// keeping is the last known.
func (s *shapes) keeping(topic string) keeping {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept(topic)
}

// kept is keeping. The caller holds mu.
func (s *shapes) kept(topic string) keeping {
	if c := s.byTopic[topic]; c != nil {
		return c.keep
	}
	return keeping{}
}

// expect notes the number of partitions of a topic that was just made or found. The next get has it looked up.
func (s *shapes) expect(topic string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	s.set(topic, &shape{n: n, keep: s.kept(topic)})
}

// set notes the shape of topic. The caller holds mu.
func (s *shapes) set(topic string, to *shape) {
	if s.byTopic == nil {
		s.byTopic = map[string]*shape{}
	}
	s.byTopic[topic] = to
}

func (s *shapes) forget(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	delete(s.byTopic, topic)
}
