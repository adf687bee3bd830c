package redisstream

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// turn is a share with the claim under which it is read now.
type turn struct {
	*share
	claim *durable.Claim
}

// read is the reader's loop: it survives every fault of the connection and the loss of the group's state.
func (m *reader) read() {
	defer m.session.Close()
	defer m.refused.over(m)
	wait, faults, vanished := faultFirst, 0, false
	for !m.over() {
		err := m.readOnce()
		if err == nil {
			if faults > 0 || vanished {
				m.log.Info("redisstream: reading again", "failures", faults)
			}
			wait, faults, vanished = faultFirst, 0, false
			m.refused.over(m)
			continue
		}
		if m.ctx.Err() != nil {
			return
		}
		m.readopt()
		m.lookAt = time.Now().Add(2 * readBlock)
		if m.b.cfg.Clustered() && unblocked(err) { // its slot moved away, or the stream is gone, as the next read tells
			continue
		}
		if noGroup(err) || strings.Contains(err.Error(), wrongType) {
			again := vanished // the server that makes it is not the one that is read, until one of them is left
			if !again {
				m.log.Warn("redisstream: the group vanished and is made again at the oldest entry", "error", err)
			}
			vanished = true
			if err = m.remake(); err == nil && !again {
				continue
			}
		}
		if errors.Is(err, ErrOrdering) {
			m.fail(err)
			return
		}
		if m.refused.note(m, err) {
			poke(m.again)
		}
		if err != nil {
			faults++
		}
		if err != nil && faults == 1 {
			m.log.Warn("redisstream: reading failed, trying again", "error", err)
		}
		if !m.pause(wait) {
			return
		}
		wait = min(2*wait, faultMost)
	}
}

// readopt has the pending entries looked at again: the reply of a failed read may be lost. A server that does not know yet
// that the connection is gone goes on with the read for a while, so that there is a second look; see lookAt.
func (m *reader) readopt() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares { // those that were paused meanwhile, too
		if m.only == nil || s == m.only {
			s.adopting, s.adoptFrom = true, "-"
		}
	}
}

// holdings is the shares that are read until the next call. One whose claim was lost has a new one. A topic that came back
// waits until what runs of its former share is over: both have one pending list.
func (m *reader) holdings() []turn {
	m.mu.Lock()
	defer m.mu.Unlock()
	var leaving map[string]bool
	for _, s := range m.shares {
		if s.leaving {
			if leaving == nil {
				leaving = map[string]bool{}
			}
			leaving[s.key] = true
		}
	}
	out := make([]turn, 0, len(m.shares))
	for _, s := range m.shares {
		if m.only != nil && s != m.only {
			continue
		}
		if s.reading = false; leaving[s.key] {
			continue
		}
		if s.look && !s.adopting { // a look that is not over yet is not begun again
			s.look, s.adopting, s.adoptFrom = false, true, "-"
		}
		if s.claim != nil && s.claim.Lost() {
			m.lose(s, durable.ErrFenced)
		}
		if s.claim == nil && m.alive() {
			m.hold(s)
		}
		if s.claim != nil && !s.paused {
			s.reading = true
			out = append(out, turn{s, s.claim})
		}
	}
	return out
}

// readOnce looks for a page of what is pending and reads what is new, so that neither waits for all of the other, as
// far as there is room.
func (m *reader) readOnce() error {
	if gone := m.moved(); gone != nil {
		if err := m.reshape(gone); err != nil {
			return err
		}
	}
	if !m.lookAt.IsZero() && !time.Now().Before(m.lookAt) {
		m.lookAt = time.Time{}
		m.readopt()
	}
	shares := m.holdings()
	if len(shares) == 0 {
		m.awaitRoom(readBlock)
		return nil
	}
	room := m.makeRoom()
	if room <= 0 {
		return nil
	}
	if m.unheard.IsZero() {
		m.unheard = time.Now()
	}
	more := false
	for _, s := range shares {
		if !s.adopting {
			continue
		}
		if err := m.adopt(s); err != nil {
			return err
		}
		more = more || s.adopting
	}
	if now := time.Now(); !now.Before(m.nextClaim) {
		m.nextClaim = now.Add(min(m.b.claimIdle()/4, time.Second))
		full, err := m.claimIdle(shares, few(min(room, readCount), m.size))
		if err != nil {
			return err
		}
		if full {
			more, m.nextClaim = true, time.Time{}
		}
	}
	return m.readNew(shares, few(min(room, readCount), m.size), more)
}

// readNew reads about most entries from all shares together, and waits for new ones unless there is more to do.
func (m *reader) readNew(shares []turn, most int, more bool) error {
	count := min(max(int(m.asked.Load()), 1), most)
	all := len(shares)
	if m.only != nil {
		all = m.partitions()
	}
	count = (count + all - 1) / all // the server counts for each stream
	words := []string{"xreadgroup", "group", m.group.Name, m.group.Member, "count", strconv.Itoa(count)}
	if !more {
		words = append(words, "block", strconv.FormatInt(readBlock.Milliseconds(), 10))
	}
	if m.b.cfg.NoAck {
		words = append(words, "noack")
	}
	words = append(words, "streams")
	for _, s := range shares {
		words = append(words, s.key)
	}
	for range shares {
		words = append(words, ">")
	}
	raw, err := m.session.Do(m.ctx, rediskit.AppendCommand(nil, words...), m.b.cfg.CommandTimeout()+readBlock)
	if err != nil {
		return err
	}
	m.heard(readBlock)
	r := rediskit.NewReply(raw)
	ds := make([]durable.Delivery, 0, count)
	for range r.Len() {
		if r.Len() != 2 {
			r.Fail()
		}
		ds = m.entriesOf(&r, shares, ds)
	}
	if r.Bad() {
		return rediskit.ErrReply
	}
	m.push(ds)
	m.unheard = time.Time{}
	return nil
}

// entriesOf adds the entries of one stream to ds.
func (m *competitor) entriesOf(r *rediskit.Reply, shares []turn, ds []durable.Delivery) []durable.Delivery {
	key, n := r.Text(), r.Len()
	at := slices.IndexFunc(shares, func(s turn) bool { return s.key == key })
	if at < 0 {
		r.Fail()
		return ds
	}
	for range n {
		e := m.b.rawEntry(r)
		if r.Bad() {
			return ds
		}
		if e.id != "" {
			ds = append(ds, m.b.delivery(shares[at].place, shares[at].claim, e))
		}
	}
	return ds
}

// push gives deliveries to Fetch. Those whose claim was lost meanwhile are pending, and read again.
func (m *reader) push(ds []durable.Delivery) {
	if len(ds) == 0 {
		return
	}
	m.note(ds)
	m.size = 1
	for _, d := range ds {
		m.size += len(d.Message.Payload) / len(ds)
	}
	select {
	case m.batches <- ds:
	case <-m.ctx.Done():
		m.mu.Lock()
		m.rest = append(m.rest, ds...) // never started
		m.mu.Unlock()
	}
}

// note holds deliveries that were read.
func (m *competitor) note(ds []durable.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s *share
	for i := range ds {
		if i == 0 || ds[i].Claim != ds[i-1].Claim {
			s = m.byClaim[ds[i].Claim]
		}
		if s == nil {
			continue
		}
		s.open++
		if !m.b.cfg.NoAck {
			s.held[numberOf(entryID(ds[i].Position))] = struct{}{}
		}
	}
}

// unblocked tells the refusal of a read that waited for a stream that went away.
func unblocked(err error) bool {
	var refused rediskit.ServerError
	return errors.As(err, &refused) && strings.HasPrefix(err.Error(), "UNBLOCKED")
}

// noGroup tells the server's refusals for a group or a stream that does not exist. A server that becomes a replica
// unblocks, too.
func noGroup(err error) bool {
	text := err.Error()
	return strings.Contains(text, "NOGROUP") || unblocked(err) && !strings.Contains(text, "instance state changed")
}
