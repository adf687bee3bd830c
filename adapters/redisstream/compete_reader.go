package redisstream

import (
	"slices"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
)

// reader reads and acknowledges all partitions of a member, or one of them: in a cluster, a command reads from one slot,
// and a node that stands still is not to keep the others waiting.
type reader struct {
	*competitor
	session   *rediskit.Session
	only      *share // nil: all
	pace      pace
	size      int           // bytes of a payload in the last batch, about; 0: nothing was read
	unheard   time.Time     // since when the server has not answered; zero: nothing is asked
	nextClaim time.Time     // when to look for what others left alone
	lookAt    time.Time     // when the pending entries are looked at once more after a fault; zero: not
	kick      chan struct{} // capacity 1: something was acknowledged
	acks      chan struct{} // capacity 1: there are acks to write
	gone      chan struct{} // closed when only was taken out
}

// newReader returns a reader of s, or of everything where s is nil.
func (m *competitor) newReader(s *share) *reader {
	r := &reader{competitor: m, only: s, kick: make(chan struct{}, 1), acks: make(chan struct{}, 1), gone: make(chan struct{})}
	r.nextClaim = time.Now().Add(min(m.b.claimIdle()/2, firstClaim)) // the server may have come back just now, as the member
	if s == nil {
		r.session = m.b.cfg.NewSession()
	} else {
		r.session = m.b.cfg.SessionAt(s.key)
	}
	return r
}

// startReaders has added read, unless the membership ends or a reader of everything runs. The caller holds mu.
func (m *competitor) startReaders(added []*share) {
	if m.ending {
		return
	}
	if !m.b.cfg.Clustered() {
		if len(m.readers) == 0 {
			m.readers = []*reader{m.newReader(nil)}
			m.work.Go(m.readers[0].read)
			m.work.Go(m.readers[0].acknowledge)
		}
		return
	}
	for _, s := range added {
		r := m.newReader(s)
		m.readers = append(m.readers, r)
		m.work.Go(r.read)
		m.work.Go(r.acknowledge)
	}
}

// over tells whether there is nothing left to read, and forgets the reader then. Its read loop alone calls it, which ends
// by that.
func (m *reader) over() bool {
	if m.ended() != nil {
		return true
	}
	if m.only == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.shares, m.only) {
		return false
	}
	close(m.gone)
	m.readers = slices.DeleteFunc(m.readers, func(r *reader) bool { return r == m })
	return true
}
