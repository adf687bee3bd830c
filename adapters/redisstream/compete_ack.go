package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const mostAcks = 1000 // ids of one acknowledgement

// Ack implements durable.Consumer. A goroutine of the reader writes the acks.
func (m *competitor) Ack(_ context.Context, ds ...durable.Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastAck = time.Now()
	var s *share
	for i := range ds {
		if i == 0 || ds[i].Claim != ds[i-1].Claim {
			s = m.byClaim[ds[i].Claim]
		}
		switch {
		case m.b.cfg.NoAck && s != nil:
			s.open--
			continue
		case m.b.cfg.NoAck:
			continue
		case s == nil:
			m.b.stats.late.Add(1)
			continue
		}
		s.acks = append(s.acks, ds[i].Position)
		s.open--
	}
	for _, r := range m.readers {
		poke(r.kick)
		if r.only == nil || len(r.only.acks) > 0 {
			poke(r.acks)
		}
	}
	return nil
}

// writing names the acks of a reader among what may be refused.
type writing struct{ *reader }

// acknowledge writes the acks of what m reads until the membership ends; Close writes the rest.
func (m *reader) acknowledge() {
	defer m.refused.over(writing{m})
	wait, faults := faultFirst, 0
	for {
		select {
		case <-m.acks:
		case <-m.gone:
			return
		case <-m.ctx.Done():
			return
		}
		err := m.flush(m.ctx, m.only, faults == 0)
		if err == nil {
			wait, faults = faultFirst, 0
			m.refused.over(writing{m})
			continue
		}
		if m.refused.note(writing{m}, err) {
			poke(m.again)
		}
		if faults++; faults == 1 && m.ctx.Err() == nil {
			m.log.Warn("redisstream: acknowledging failed, trying again", "error", err)
		}
		poke(m.acks)
		if !m.pause(wait) {
			return
		}
		wait = min(2*wait, faultMost)
	}
}

// flush writes the acks of only, of all where that is nil, that were accepted; those that fail are there again. One
// goroutine at a time calls it for a share.
// Late acks are counted where it is the first attempt: what the server no longer knows then was taken over by
// another member, which has finished it too.
func (m *competitor) flush(ctx context.Context, only *share, first bool) error {
	wire, flushed, commands := m.takeAcks(only)
	if commands == 0 {
		return nil
	}
	batch := rediskit.NewBatch(wire, commands)
	fate, err := m.b.acks.Send(ctx, batch)
	if fate == rediskit.Answered {
		err = batch.Err()
	}
	var late int64
	refused := flushed
	if err == nil {
		late, refused, err = acknowledged(batch, flushed)
	}
	m.settle(flushed, refused)
	if first {
		m.b.stats.late.Add(late)
	}
	if err != nil {
		return fmt.Errorf("redisstream: acknowledge in group %q: %w", m.group.Name, passing(err))
	}
	return nil
}

// takeAcks encodes the acks of only, of every share where that is nil.
func (m *competitor) takeAcks(only *share) (wire []byte, flushed []*share, commands int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		if len(s.acks) == 0 || only != nil && s != only {
			continue
		}
		s.acks, s.acking = s.acking[:0], s.acks
		flushed = append(flushed, s)
		for from := 0; from < len(s.acking); from += mostAcks {
			page := s.acking[from:min(from+mostAcks, len(s.acking))]
			wire = m.b.server.appendAck(wire, s.key, m.group.Name, page)
			commands++
		}
	}
	return wire, flushed, commands
}

// acknowledged reads the replies: how many acks the server did not know any more, and of which shares it refused some.
func acknowledged(batch *rediskit.Batch, flushed []*share) (late int64, refused []*share, err error) {
	r, _ := batch.Replies()
	var errs []error
	for _, s := range flushed {
		left, before := int64(len(s.acking)), len(errs)
		for range (len(s.acking) + mostAcks - 1) / mostAcks {
			err := r.Err()
			switch {
			case err == nil:
				left -= r.Int()
			case !strings.Contains(err.Error(), "NOGROUP"):
				errs = append(errs, err)
			}
		}
		if len(errs) > before {
			refused = append(refused, s)
			continue
		}
		late += left
	}
	if r.Bad() {
		return 0, flushed, errors.Join(append(errs, rediskit.ErrReply)...)
	}
	return late, refused, errors.Join(errs...)
}

// settle forgets what is acknowledged, and takes back what is not: that of refused.
func (m *competitor) settle(flushed, refused []*share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range flushed {
		if slices.Contains(refused, s) {
			s.acks = append(s.acking, s.acks...)
			s.acking = nil
			continue
		}
		for _, p := range s.acking {
			delete(s.held, numberOf(entryID(p)))
		}
		clear(s.acking)
		s.acking = s.acking[:0]
	}
}
