package redisstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

// maintain keeps entries in work from being claimed by others, and the member from being taken for gone, until the
// membership ends.
func (m *competitor) maintain() {
	every := m.b.claimIdle() / 3
	t := time.NewTicker(min(every, time.Second, m.b.showEvery()/4))
	defer t.Stop()
	var heard time.Duration // when the server last heard of the member; what it did not hear is told again at the next tick
	var shown time.Duration
	m.show(m.ctx)
	for {
		select {
		case <-t.C:
		case <-m.ctx.Done():
			return
		}
		if !m.alive() { // the process stood still: others may have taken what it held
			m.loseAll()
		}
		now := time.Since(m.epoch)
		m.beat.Store(int64(now))
		ctx, cancel := context.WithTimeout(m.ctx, every)
		if now-heard >= every-every/8 && m.beatOnce(ctx, now-heard >= m.b.claimIdle()) {
			heard = now
		}
		if now-shown >= m.b.showEvery() {
			shown = now
			m.show(ctx)
		}
		m.retireDone(ctx)
		cancel()
	}
}

// show has the server note that the member is there, and looks whether the group was made again with the other ordering.
// Redis 7.0 does not note it where a read waits in vain: only where one is answered, as this is, of what is pending
// behind every entry.
func (m *competitor) show(ctx context.Context) {
	pipe := m.b.control.Pipeline()
	var topics []string
	several := map[string]*share{} // a share of each topic that has several partitions
	var orderings []*redis.StringCmd
	m.mu.Lock()
	for _, s := range m.shares {
		if s.leaving {
			continue
		}
		if s.of > 1 && s.partition == 0 {
			several[s.topic] = s
		}
		pipe.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: m.group.Name, Consumer: m.group.Member, Streams: []string{s.key, pastAll}, Count: 1, Block: -1,
		})
		topics, orderings = append(topics, s.topic), append(orderings, pipe.HGet(ctx, s.groupKey(m.group.Name), "ordering"))
	}
	m.mu.Unlock()
	_, _ = pipe.Exec(ctx) // a group that is gone is the reader's to make; what fails otherwise comes again
	for i, o := range orderings {
		if o.Val() == orderedMode {
			m.fail(otherOrdering(m.group, topics[i]))
			return
		}
	}
	for topic, s := range several {
		n, err := m.b.partitions(ctx, topic) // stores again what the server forgot; an error comes again
		if err == nil && n != s.of {
			m.mu.Lock()
			s.moved = true
			m.mu.Unlock()
		}
	}
}

// pastAll is an id behind every entry; one more has to follow it.
const pastAll = "18446744073709551615-18446744073709551614"

// loseAll ends every claim; the reader takes new ones and what is still this member's.
func (m *competitor) loseAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		m.lose(s, durable.ErrFenced)
	}
	m.log.Warn("redisstream: the member stood still for longer than ClaimIdle, what it held may be another's")
}

// beatOnce touches what the member holds. doubtful: the server did not hear of it for longer than ClaimIdle, so that
// claims of which another member has taken something are lost.
func (m *competitor) beatOnce(ctx context.Context, doubtful bool) bool {
	var deaf atomic.Bool
	var touched sync.WaitGroup
	for _, s := range m.working() {
		touch := func() {
			pending, err := keepScript.Run(ctx, m.b.control, []string{s.key}, m.group.Name, m.group.Member).Int()
			if err == nil {
				m.compare(s, pending)
			}
			if err == nil && doubtful {
				err = m.doubt(ctx, s)
			}
			if err != nil && !noGroup(err) {
				deaf.Store(true)
			}
		}
		if !m.b.cfg.Clustered() {
			touch()
			continue
		}
		touched.Go(touch) // a node that stands still does not take the time of the others
	}
	touched.Wait()
	return !deaf.Load()
}

// compare has the reader look for what the member does not know of, where it was told of more pending entries than it works
// on: the heartbeat touches them all, so that nobody finds those by their age. An acknowledgement that is on its way has it
// look in vain, and an entry that was read since the heartbeat may hide another one until the next.
func (m *competitor) compare(s *share, pending int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pending > len(s.held)-len(s.acks)-len(s.acking) {
		s.look = true
	}
}

// working is the shares of which something is held.
func (m *competitor) working() []*share {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*share
	for _, s := range m.shares {
		if s.claim != nil && len(s.held) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// doubt ends the claim of s where something that is held is not pending for this member any more.
func (m *competitor) doubt(ctx context.Context, s *share) error {
	missing := map[entryNumber]struct{}{}
	m.mu.Lock()
	for id := range s.held {
		missing[id] = struct{}{}
	}
	for _, ps := range [][]durable.Position{s.acks, s.acking} {
		for _, p := range ps {
			delete(missing, numberOf(entryID(p)))
		}
	}
	m.mu.Unlock()
	for from := "-"; len(missing) > 0; {
		page, err := m.pending(ctx, s, from, readCount)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		from = "(" + page[len(page)-1].ID
		for _, p := range page {
			delete(missing, numberOf(p.ID))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range missing {
		if _, held := s.held[id]; held { // and was not acknowledged meanwhile
			m.lose(s, durable.ErrFenced)
			return nil
		}
	}
	return nil
}
