package redisstream

import (
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

// remake makes the groups that vanished, and the shapes of their topics.
func (m *reader) remake() error {
	topic := ""
	for _, s := range m.holdings() {
		if s.topic != topic {
			topic = s.topic
			same, err := m.shaped(s.share)
			if err != nil {
				return err
			}
			if !same {
				return m.reshape(s.share)
			}
		}
		if err := m.b.enroll(m.ctx, m.group, s.place, durable.Oldest()); err != nil {
			return err
		}
	}
	return nil
}

// shaped tells whether the topic of s has the number of partitions that it had. One that vanished has it again.
func (m *reader) shaped(s *share) (bool, error) {
	if err := m.atMaster(m.ctx, s, func(redis.Pipeliner) {}); err != nil {
		return false, err
	}
	n, _, _, err := m.b.lookUp(m.ctx, s.topic)
	if err != nil || n == s.of || s.of == 1 {
		return n == s.of, err
	}
	keep := m.b.shapes.keeping(s.topic)
	err = m.b.CreateTopic(m.ctx, durable.TopicSpec{
		Name: s.topic, Partitions: s.of, MaxLen: keep.maxLen, Retention: keep.retention,
	})
	if errors.Is(err, durable.ErrTopicExists) {
		return false, nil
	}
	return err == nil, err
}

// reshape consumes the topic of gone, which was made again with another number of partitions. After an error, and while
// SetTopics is at work, it is left to the next read, before which it is tried again: partitions of both have the same names,
// so that reading them may tell nothing any more.
func (m *reader) reshape(gone *share) error {
	m.mu.Lock()
	gone.moved = true
	m.mu.Unlock()
	if !m.settling.TryLock() { // Close does not wait for SetTopics
		return nil
	}
	defer m.settling.Unlock()
	if !m.takesPart(gone) {
		return nil
	}
	m.b.shapes.forget(gone.topic)
	added, err := m.enroll(m.ctx, durable.TopicStart{Topic: gone.topic, Start: durable.Oldest()})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shares = slices.DeleteFunc(m.shares, func(s *share) bool {
		if s.topic == gone.topic {
			m.lose(s, durable.ErrFenced)
		}
		return s.topic == gone.topic
	})
	m.add(added)
	return nil
}

// moved is a share of a topic that has another number of partitions than it had, nil where there is none.
func (m *reader) moved() *share {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		if s.moved && !s.leaving {
			return s
		}
	}
	return nil
}

// takesPart tells whether s was neither taken out nor replaced meanwhile.
func (m *competitor) takesPart(s *share) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !s.leaving && slices.Contains(m.shares, s)
}
