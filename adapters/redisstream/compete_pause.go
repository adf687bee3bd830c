package redisstream

import (
	"slices"

	"github.com/dualstream/dualstream/durable"
)

// Pause implements durable.Pauser. The partition is not read on, and what was read of it is set aside.
func (m *competitor) Pause(c *durable.Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.byClaim[c]; s != nil {
		s.paused = true
	}
}

// Resume implements durable.Pauser.
func (m *competitor) Resume(c *durable.Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.byClaim[c]
	if s == nil || !s.paused {
		return
	}
	s.paused = false
	inStoredOrder(s.aside)
	m.rest = slices.Concat(s.aside, m.rest) // it is older than anything else of s
	s.aside = nil
	m.kickReaders()
	poke(m.again)
}

// Claims implements durable.Pauser.
func (m *competitor) Claims() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.byClaim)
}

// withheld tells whether d is not to be fetched now. Of a partition that is paused it is set aside; of one that is taken
// out it is let go of; where the claim was lost it is forgotten. The caller holds mu.
func (m *competitor) withheld(d durable.Delivery) bool {
	s := m.byClaim[d.Claim]
	switch {
	case s == nil:
	case s.leaving:
		s.letGo(d)
	case s.paused:
		s.aside = append(s.aside, d)
	default:
		return false
	}
	return true
}
