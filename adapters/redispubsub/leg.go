package redispubsub

import (
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/realtime"
)

// firstAttempts is how often the first connection to a node is tried before who waits for it is told. Each looks at the
// cluster before.
const firstAttempts = 3

// errMovedAway ends a connection whose node dropped a channel, because its slot went to another one.
var errMovedAway = errors.New("the slot of a channel moved to another node")

// channels are those that s wants.
func (s *subscription) channels() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.want))
	for c := range s.want {
		out = append(out, c)
	}
	return out
}

// owe has a gap told when channels are confirmed.
func (s *subscription) owe(channels []string, gap realtime.GapReason) {
	if gap == realtime.GapNone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range channels {
		s.owed[c] = gap
	}
}

// pay tells the gap that is owed for channel, where it is the last of them. The caller holds mu.
func (s *subscription) pay(channel string) {
	gap, owed := s.owed[channel]
	if !owed {
		return
	}
	if delete(s.owed, channel); len(s.owed) == 0 {
		s.inbox.Gap(gap)
	}
}

// allPaid tells which gap was owed, and forgets it.
func (s *subscription) allPaid() realtime.GapReason {
	s.mu.Lock()
	defer s.mu.Unlock()
	gap := realtime.GapNone
	for _, reason := range s.owed {
		gap = reason
	}
	clear(s.owed)
	return gap
}

// refusedSoFar is how many error replies there were.
func (s *subscription) refusedSoFar() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusals
}

// refuse tells who waits for the first connection why there is none.
func (s *subscription) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = err
	s.refusals++
	s.tell()
}

// shardCommand subscribes ps to sharded channels or unsubscribes it, one command for each slot.
func shardCommand(ps *redis.PubSub, channels []string, add bool) error {
	sorted := slices.SortedFunc(slices.Values(channels), func(a, b string) int {
		return int(rediskit.Slot(a)) - int(rediskit.Slot(b))
	})
	do := ps.SUnsubscribe
	if add {
		do = ps.SSubscribe
	}
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && rediskit.Slot(sorted[n]) == rediskit.Slot(sorted[0]) {
			n++
		}
		if err := do(severed(), sorted[:n]...); err != nil {
			return err
		}
		sorted = sorted[n:]
	}
	return nil
}
