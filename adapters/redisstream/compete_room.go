package redisstream

import "time"

const (
	leastOpen = 64               // deliveries that a member takes before it has shown how fast it is
	mostOpen  = 1 << 16          // and that it takes at most
	crowdTime = time.Second      // after which a member that does not keep up takes fewer
	stuckTime = 30 * time.Second // after which one that finishes nothing takes more: all may be waiting for a retry

	waitingLook = readBlock / 5 // between two looks at what waits
)

// pace is how many deliveries a member takes. It belongs to the reader.
type pace struct {
	target  int       // how many may be open
	crowded time.Time // since when so many are; zero: they are not
	waiting int       // of those that are open, as Group.Waiting told
	asked   time.Time // when it did
}

// open is how many deliveries the member works on, where held are read and not finished: without those that wait for a
// retry, or behind a slow one of their key, which the MaxInFlight of durable.Process bounds. waiting tells how many
// these are; it is asked now and then, where there would be no room and while some wait.
func (p *pace) open(held int, now time.Time, waiting func() int) int {
	if waiting != nil && (held >= p.target || p.waiting > 0) && now.Sub(p.asked) >= waitingLook {
		p.waiting, p.asked = waiting(), now
	}
	return max(held-p.waiting, 0)
}

// room is how many entries may be read now, where open are read and not finished. A member takes about as much as it
// can work off soon, so that the others get their part of a backlog: the target doubles when little of it is left at
// the next read, and is halved when it stays full. lastAck is when something was finished.
func (p *pace) room(open int, now, lastAck time.Time) int {
	p.target = max(p.target, leastOpen)
	if open <= p.target/4 {
		p.target = min(2*p.target, mostOpen)
	}
	if open < p.target {
		p.crowded = time.Time{}
		return p.target - open
	}
	if p.crowded.IsZero() {
		p.crowded = now
	}
	idle := now.Sub(p.crowded)
	switch {
	case idle >= stuckTime && now.Sub(lastAck) >= stuckTime:
		p.target, p.crowded = min(open+leastOpen, mostOpen), now
		return max(p.target-open, 0)
	case idle >= crowdTime && lastAck.After(p.crowded):
		p.target, p.crowded = max(p.target/2, leastOpen), now
	}
	return 0
}

// makeRoom tells how many entries may be read now, and waits a while where that is none.
func (m *reader) makeRoom() int {
	held, all, lastAck := m.opened()
	now := time.Now()
	if n := m.pace.room(m.pace.open(held, now, m.waitingOf(held, all)), now, lastAck); n > 0 {
		return n
	}
	m.awaitRoom(waitingLook)
	return 0
}

// waitingOf tells how many of held wait for a retry, about: Group.Waiting speaks of all that the member has open, of other
// readers and of paused partitions too. It is nil where that is not known.
func (m *reader) waitingOf(held, all int) func() int {
	if m.group.Waiting == nil {
		return nil
	}
	return func() int { return m.group.Waiting() * held / max(all, 1) }
}

// awaitRoom waits until something was acknowledged or a partition is to be read again, at most for d.
func (m *reader) awaitRoom(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-m.kick:
	case <-t.C:
	case <-m.ctx.Done():
	}
}

// partitions is how many the member reads.
func (m *competitor) partitions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(len(m.shares), 1)
}

// opened is how many deliveries were read and not given to Ack: those of this reader, without partitions that are paused,
// and all of the member; and when something was given to Ack.
func (m *reader) opened() (held, all int, lastAck time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		all += s.open
		if !s.paused && (m.only == nil || s == m.only) {
			held += s.open
		}
	}
	return held, all, m.lastAck
}

// kickReaders has those that wait for room look again. The caller holds mu.
func (m *competitor) kickReaders() {
	for _, r := range m.readers {
		poke(r.kick)
	}
}
