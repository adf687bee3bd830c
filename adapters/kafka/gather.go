package kafka

import "time"

const (
	gatherWait = time.Millisecond // longest wait for callers that are expected back
	firstSkip  = 1                // requests without such a wait after one in vain; it doubles up to lastSkip
	lastSkip   = 1024
)

// gathering is how a sender makes full requests of many callers with one message each. When a request has ended
// several calls, their callers usually come back at once: the sender waits until as many pieces wait as before, a
// sixteenth aside, and never longer than gatherWait. A lone caller is never waited for. Where callers do not come back it
// stops trying for a while.
type gathering struct {
	arrived int // pieces since the last request was put together; guarded by the writer's lock
	target  int // pieces that end the wait; 0: there is none; guarded by the writer's lock

	skip   int // requests to go without a wait
	misses int // waits in vain, in a row
	timer  *time.Timer
}

// arrive counts a piece and reports whether the sender has to be woken for it, where it may sleep. The caller holds mu.
func (g *gathering) arrive(asleep bool) bool {
	g.arrived++
	if g.target == 0 {
		return asleep
	}
	return g.arrived == g.target
}

// gather waits after a request of n pieces that ended so many calls.
func (s *sender) gather(n, calls int) {
	if calls < 2 {
		return
	}
	if s.skip > 0 {
		s.skip--
		return
	}
	s.w.mu.Lock()
	n += s.arrived
	s.target = n - n/16
	s.w.mu.Unlock()
	s.linger()
	if s.endGather() {
		s.misses = 0
		return
	}
	s.skip = min(firstSkip<<min(s.misses, 8), lastSkip)
	s.misses++
}

// endGather ends the wait and reports whether it was worth it.
func (s *sender) endGather() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	enough := s.arrived >= s.target
	s.target = 0
	return enough
}

func (s *sender) gathered() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.arrived >= s.target
}

// linger waits until enough has been gathered, at most gatherWait.
func (s *sender) linger() {
	if s.timer == nil {
		s.timer = time.NewTimer(gatherWait)
	} else {
		s.timer.Reset(gatherWait)
	}
	defer s.timer.Stop()
	for !s.gathered() {
		select {
		case <-s.wake: // may be left from before
		case <-s.timer.C:
			return
		case <-s.quit:
			return
		case <-s.w.stop:
			return
		}
	}
}
