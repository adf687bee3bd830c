package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dualstream/dualstream/durable"
)

// Close implements durable.Consumer.
func (m *competitor) Close(ctx context.Context) error {
	m.leave.Do(func() {
		m.cancel()
		go m.handOver() // bounded by handOverTime
	})
	select {
	case <-m.left:
		return m.leftErr
	case <-ctx.Done():
		return fmt.Errorf("redisstream: close: %w", ctx.Err())
	}
}

// handOver writes the acks, gives the rest to others and leaves.
func (m *competitor) handOver() {
	defer close(m.left)
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	m.mu.Lock()
	m.ending = true // no reader is started any more
	m.mu.Unlock()
	m.work.Wait()
	errs := []error{m.flush(ctx, nil, true)}
	unstarted := m.unstarted()
	m.mu.Lock()
	shares := slices.Clone(m.shares)
	for _, s := range shares {
		m.lose(s, durable.ErrClosed)
	}
	m.mu.Unlock()
	for _, s := range shares {
		errs = append(errs, m.retire(ctx, s, unstarted[s]))
	}
	m.leftErr = errors.Join(errs...)
	m.b.exit(m)
}

// retire hands what s has pending over to the other members; unstarted is id and delivery count of what was read and
// never fetched.
func (m *competitor) retire(ctx context.Context, s *share, unstarted []any) error {
	args := append([]any{m.group.Name, m.group.Member, 2 * m.b.claimIdle().Milliseconds()}, unstarted...)
	err := retireScript.Run(ctx, m.b.control, []string{s.key}, args...).Err()
	if err != nil && !noGroup(err) {
		return fmt.Errorf("redisstream: leave group %q of %q: %w", m.group.Name, s.topic, passing(err))
	}
	return nil
}

// unstarted is, by share, id and delivery count of what was read and never fetched.
func (m *competitor) unstarted() map[*share][]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[*share][]any{}
	ds := m.rest
	for _, s := range m.shares {
		ds = append(ds, s.aside...)
	}
	for _, d := range ds {
		if s := m.byClaim[d.Claim]; s != nil {
			out[s] = append(out[s], entryID(d.Position), d.Attempt-1)
		}
	}
	m.rest = nil
	return out
}
