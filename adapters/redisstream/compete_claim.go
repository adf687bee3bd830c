package redisstream

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// adopt reads a page of the entries that are pending for this member and that it does not hold, as after a restart
// under the same name, or when the reply of a read was lost. Their delivery counts rise by one.
func (m *reader) adopt(s turn) error {
	page, err := m.pending(m.ctx, s.share, s.adoptFrom, few(readCount, m.size))
	if err != nil {
		return err
	}
	m.heard(0)
	if len(page) == 0 {
		s.adopting = false
		return nil
	}
	s.adoptFrom = "(" + page[len(page)-1].ID
	args := []any{m.group.Name, m.group.Member}
	counts := make(map[string]int, len(page))
	m.mu.Lock()
	for _, p := range page {
		if _, held := s.held[numberOf(p.ID)]; !held {
			args = append(args, p.ID)
			counts[p.ID] = int(p.RetryCount) + 1
		}
	}
	m.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	reply, err := adoptScript.Run(m.ctx, m.b.control, []string{s.key}, args...).Slice()
	if err != nil {
		return err
	}
	m.heard(0)
	if len(reply) != 2 {
		return fmt.Errorf("redisstream: a reply of %d elements to a claim", len(reply))
	}
	pending, _ := reply[0].(int64)
	es, err := parseEntries(reply[1], 0)
	if err != nil {
		return err
	}
	for i := range es {
		es[i].attempt = counts[es[i].id]
	}
	m.b.stats.lost.Add(pending - int64(len(es)))
	m.take(s, es)
	return nil
}

// pending is a page of at most most of what is pending for this member.
func (m *competitor) pending(ctx context.Context, s *share, from string, most int) ([]redis.XPendingExt, error) {
	var page *redis.XPendingExtCmd
	err := m.atMaster(ctx, s, func(pipe redis.Pipeliner) {
		page = pipe.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: s.key, Group: m.group.Name, Start: from, End: "+", Count: int64(most), Consumer: m.group.Member,
		})
	})
	if err != nil {
		return nil, err
	}
	return page.Result()
}

// atMaster sends what ask adds to a pipeline, every command of which holds its own error, behind a write without effect to
// the partition of s. A server that became a replica goes on serving reads: it refuses the write, and as that is the first
// command, the client library leaves the connection and tries again.
func (m *competitor) atMaster(ctx context.Context, s *share, ask func(redis.Pipeliner)) error {
	pipe := m.b.control.Pipeline()
	write := pipe.HDel(ctx, s.groupKey(m.group.Name), "none")
	ask(pipe)
	_, _ = pipe.Exec(ctx)
	if err := write.Err(); redis.IsReadOnlyError(err) {
		return err
	}
	return nil
}

// claimIdle takes a page of about most entries of all shares over that other members left alone for Config.ClaimIdle, and
// tells whether there may be more. Mostly there are none, which one command for each share tells, all in one round trip.
func (m *reader) claimIdle(shares []turn, most int) (full bool, err error) {
	most = (most + len(shares) - 1) / len(shares)
	looks := make([]*redis.XPendingExtCmd, len(shares))
	err = m.atMaster(m.ctx, shares[0].share, func(pipe redis.Pipeliner) {
		for i, s := range shares {
			if s.claimFrom == "" {
				s.claimFrom = "-"
			}
			looks[i] = pipe.XPendingExt(m.ctx, &redis.XPendingExtArgs{
				Stream: s.key, Group: m.group.Name, Idle: m.b.claimIdle(), Start: s.claimFrom, End: "+", Count: 1,
			})
		}
	})
	if err != nil {
		return false, err
	}
	if m.heard(0) {
		return false, nil
	}
	for i, s := range shares {
		found, err := looks[i].Result()
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			s.claimFrom = "-"
			continue
		}
		more, err := m.claimPage(s, most)
		if err != nil {
			return false, err
		}
		full = full || more
	}
	return full, nil
}

// claimPage is claimIdle of one share, in which something was left alone. The client sends the script again where its reply
// was lost, and then is told nothing of what is this member's already: the pending entries are looked at afterwards.
func (m *reader) claimPage(s turn, most int) (full bool, err error) {
	s.adopting, s.adoptFrom = true, "-"
	reply, err := m.b.server.claimIdle().Run(m.ctx, m.b.control, []string{s.key},
		m.group.Name, m.group.Member, m.b.claimIdle().Milliseconds(), most, s.claimFrom).Slice()
	if err != nil {
		return false, err
	}
	last, n, err := m.claimed(s, reply)
	if err != nil {
		return false, fmt.Errorf("claim: %w", err)
	}
	s.claimFrom = "-"
	if n == int64(most) {
		s.claimFrom = "(" + last
		return true, nil
	}
	return false, nil
}

// claimed reads the reply of claimIdleScript.
func (m *reader) claimed(s turn, reply []any) (last string, looked int64, err error) {
	if len(reply) != 5 {
		return "", 0, fmt.Errorf("redisstream: a reply of %d elements to a claim", len(reply))
	}
	last, _ = reply[0].(string)
	looked, _ = reply[1].(int64)
	gone, _ := reply[2].(int64)
	es, err := parseEntries(reply[3], 0)
	if err != nil {
		return "", 0, err
	}
	counts, _ := reply[4].([]any)
	for i := range es {
		n, _ := counts[min(i, len(counts)-1)].(int64)
		es[i].attempt = int(n)
	}
	if gone > 0 {
		m.b.stats.lost.Add(gone)
		m.log.Warn("redisstream: pending entries were deleted before they were handled", "topic", s.topic, "entries", gone)
	}
	m.take(s, es)
	return last, looked, nil
}

// take gives claimed entries to Fetch.
func (m *reader) take(s turn, es []entry) {
	m.push(m.b.deliveries(s.place, s.claim, es))
	m.unheard = time.Now() // and not the server had the reader wait
}

// firstClaim is how long others have to tell a server that was away what they work on, when a member joins.
const firstClaim = 2 * time.Second

// heard notes an answer of the server to what may have waited there for wait. Where it was silent for long, others could
// not tell it either what they work on, and have as long as ever to do so before this member looks for what they left alone.
func (m *reader) heard(wait time.Duration) (afterSilence bool) {
	now := time.Now()
	silent := now.Sub(m.unheard) - wait
	m.unheard = now
	if silent < max(m.b.claimIdle()/4, readBlock) {
		return false
	}
	m.nextClaim = now.Add(m.b.claimIdle())
	return true
}
