package redisstream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// Fetch implements durable.Consumer. What is read ahead is as much as the last Fetch asked for.
func (m *competitor) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	m.asked.Store(int64(most))
	for {
		if err := m.ended(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.refused.tell(); err != nil {
			return nil, denied(m.group.Name, err)
		}
		if ds := m.next(most); len(ds) > 0 {
			return ds, nil
		}
		select {
		case batch := <-m.batches:
			m.mu.Lock()
			m.rest = append(m.rest, batch...) // behind what was resumed while this waited
			m.mu.Unlock()
		case <-m.again:
		case <-m.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// ended is why nothing more can be fetched.
func (m *competitor) ended() error {
	if m.ctx.Err() != nil {
		return fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// next is at most most deliveries whose claims are held: released ones first. It is empty only where nothing waits.
func (m *competitor) next(most int) []durable.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ds := m.cut(&m.back, most); len(ds) > 0 {
		return ds
	}
	return m.cut(&m.rest, most)
}

// cut takes at most most deliveries off from, without those that are withheld. The caller holds mu.
func (m *competitor) cut(from *[]durable.Delivery, most int) []durable.Delivery {
	unfit := func(d durable.Delivery) bool { s := m.byClaim[d.Claim]; return s == nil || s.leaving || s.paused }
	for len(*from) > 0 {
		n := min(max(most, 1), len(*from))
		ds := (*from)[:n:n]
		if *from = (*from)[n:]; len(*from) == 0 {
			*from = nil
		}
		if slices.ContainsFunc(ds, unfit) {
			ds = slices.DeleteFunc(ds, m.withheld)
		}
		if len(ds) > 0 {
			return ds
		}
	}
	return nil
}

// Release implements durable.Consumer.
func (m *competitor) Release(ds ...durable.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.back)
	for _, d := range ds {
		s := m.byClaim[d.Claim]
		switch {
		case s == nil:
		case s.leaving:
			s.letGo(d)
		default:
			m.back = append(m.back, d)
		}
	}
	if len(m.back) == before {
		return
	}
	inStoredOrder(m.back)
	poke(m.again)
}

// inStoredOrder sorts ds by partition and position.
func inStoredOrder(ds []durable.Delivery) {
	slices.SortStableFunc(ds, func(a, b durable.Delivery) int {
		if a.Claim != b.Claim {
			return strings.Compare(claimName(a.Claim), claimName(b.Claim))
		}
		return compareIDs(entryID(a.Position), entryID(b.Position))
	})
}

func claimName(c *durable.Claim) string { return fmt.Sprintf("%s/%06d", c.Topic(), c.Partition()) }

// entryID is the id of the entry at p.
func entryID(p durable.Position) string {
	return string(p[strings.LastIndexByte(string(p), ':')+1:])
}
