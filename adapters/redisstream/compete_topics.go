package redisstream

import (
	"context"
	"fmt"
	"slices"

	"github.com/dualstream/dualstream/durable"
)

// SetTopics implements durable.Consumer. What runs of a topic that is taken out may finish; the rest of it goes to
// other members.
func (m *competitor) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	if err := m.ended(); err != nil {
		return err
	}
	g := m.group
	g.Topics = ts
	if err := durable.CheckGroup(g); err != nil {
		return fmt.Errorf("redisstream: %w", err)
	}
	m.settling.Lock()
	defer m.settling.Unlock()
	for _, t := range ts {
		if m.has(t.Topic) {
			continue
		}
		if err := m.join(ctx, t); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		if slices.ContainsFunc(ts, func(t durable.TopicStart) bool { return t.Topic == s.topic }) {
			continue
		}
		m.drain(s)
	}
	return nil
}

// has tells whether topic is consumed. A topic that is on its way out comes back as a new share.
func (m *competitor) has(topic string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.shares, func(s *share) bool { return s.topic == topic && !s.leaving })
}

// letGo forgets d of a share that is taken out: it is handed over when the rest is done. The caller holds mu.
func (s *share) letGo(d durable.Delivery) {
	delete(s.held, numberOf(entryID(d.Position)))
	s.open--
}

// drain begins to take s out. What was read and not fetched is let go of. The caller holds mu.
func (m *competitor) drain(s *share) {
	if s.leaving {
		return
	}
	s.leaving = true
	if s.claim == nil {
		return
	}
	letGo := func(d durable.Delivery) bool {
		if d.Claim != s.claim {
			return false
		}
		s.letGo(d)
		return true
	}
	m.rest, m.back = slices.DeleteFunc(m.rest, letGo), slices.DeleteFunc(m.back, letGo)
	s.aside = slices.DeleteFunc(s.aside, letGo)
	s.claim.Drain()
}

// retireDone leaves the topics that were taken out and of which nothing runs any more, nor is being read: what came after
// it would be pending for this member, which does not know of it.
func (m *competitor) retireDone(ctx context.Context) {
	m.mu.Lock()
	var done []*share
	for _, s := range m.shares {
		if s.leaving && !s.reading && len(s.held) == 0 && len(s.acks)+len(s.acking) == 0 {
			done = append(done, s)
		}
	}
	m.mu.Unlock()
	for i, err := range m.retire(ctx, done, nil) {
		s := done[i]
		if err != nil {
			m.log.Warn("redisstream: leaving a topic failed, trying again", "topic", s.topic, "error", err)
			continue
		}
		m.mu.Lock()
		m.lose(s, durable.ErrClosed)
		m.shares = slices.DeleteFunc(m.shares, func(have *share) bool { return have == s })
		m.mu.Unlock()
	}
}
