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
		go m.handOver() // bounded by a command and handOverTime
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
	m.mu.Lock()
	m.ending = true // no reader is started any more
	m.mu.Unlock()
	m.work.Wait() // for a command that is on its way
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	errs := []error{m.lastAcks(ctx)}
	unstarted := m.unstarted()
	m.mu.Lock()
	shares := slices.Clone(m.shares)
	for _, s := range shares {
		m.lose(s, durable.ErrClosed)
	}
	m.mu.Unlock()
	m.leftErr = errors.Join(append(errs, m.retire(ctx, shares, unstarted)...)...)
	m.b.exit(m)
}

// lastAcks writes the acks that are left, for what is not written is handled again. A node that stands still leaves time
// for the rest of the hand-over.
func (m *competitor) lastAcks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handOverTime/2)
	defer cancel()
	return m.flush(ctx, nil, true)
}

// retire hands what shares have pending over to the other members; unstarted is id and delivery count of what was read
// and never fetched. There is an error, or nil, for each share.
func (m *competitor) retire(ctx context.Context, shares []*share, unstarted map[*share][]any) []error {
	calls := make([]call, len(shares))
	for i, s := range shares {
		args := append([]any{m.group.Name, m.group.Member, 2 * m.b.claimIdle().Milliseconds()}, unstarted[s]...)
		calls[i] = call{script: retireScript, keys: []string{s.key}, args: args}
	}
	errs := make([]error, len(calls))
	for i, cmd := range m.b.runAll(ctx, calls) {
		if err := cmd.Err(); err != nil && !noGroup(err) {
			errs[i] = fmt.Errorf("redisstream: leave group %q of %q: %w", m.group.Name, shares[i].topic, passing(err))
		}
	}
	return errs
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
