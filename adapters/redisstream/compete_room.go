package redisstream

import "time"

const (
	leastOpen = 64               // deliveries that a member takes before it has shown how fast it is
	mostOpen  = 1 << 16          // and that it takes at most
	crowdTime = time.Second      // after which a member that does not keep up takes fewer
	stuckTime = 30 * time.Second // after which one that finishes nothing takes more: all may be waiting for a retry
)

// pace is how many deliveries a member takes. It belongs to the reader.
type pace struct {
	target  int       // how many may be open
	crowded time.Time // since when so many are; zero: they are not
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
func (m *competitor) makeRoom() int {
	open, lastAck := m.opened()
	if n := m.pace.room(open, time.Now(), lastAck); n > 0 {
		return n
	}
	t := time.NewTimer(readBlock)
	defer t.Stop()
	select {
	case <-m.roomKick:
	case <-t.C:
	case <-m.ctx.Done():
	}
	return 0
}

// opened is how many deliveries were read and not given to Ack, and when something was.
func (m *competitor) opened() (n int, lastAck time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		n += s.open
	}
	return n, m.lastAck
}
