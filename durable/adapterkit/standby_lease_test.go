package adapterkit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// leased is a spot whose hold others may take away.
type leased struct{ *spot }

func (l leased) Store(through int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != l.spot {
		return durable.ErrFenced
	}
	return l.spot.Store(through)
}

func newLeased(t *testing.T, s *shelf, gate *adapterkit.Gate) *adapterkit.Standby {
	t.Helper()
	g := durable.Group{Name: "g", Topics: durable.Topics("t")}
	m, err := adapterkit.NewStandby(t.Context(), "shelf", gate, g, time.Millisecond, func(string) (adapterkit.Place, error) {
		return leased{&spot{shelf: s}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAStandbyWhoseLeaseIsOverLosesItsClaimAndStandsByAgain(t *testing.T) {
	ctx, gate := t.Context(), adapterkit.NewGate()
	store := &shelf{records: []string{"a", "b"}, through: -1}
	m := newLeased(t, store, gate)
	ds, err := m.Fetch(ctx, 2)
	if err != nil || len(ds) != 2 {
		t.Fatalf("got %d deliveries, error %v", len(ds), err)
	}
	other := &spot{shelf: store}
	store.mu.Lock()
	store.holder = other
	store.mu.Unlock()
	if err := m.Ack(ctx, ds...); err != nil {
		t.Errorf("Ack after the lease: got %v, want it ignored", err)
	}
	if !ds[0].Claim.Lost() || store.through != 0 || m.Late() != 2 {
		t.Errorf("lost: %v, stored through %d, late %d; want a lost claim, 0 and 2", ds[0].Claim.Lost(), store.through, m.Late())
	}
	if err := errors.Join(m.Ack(ctx, ds[0]), other.Close()); err != nil || m.Late() != 3 {
		t.Errorf("a second Ack: error %v, late %d, want nil and 3", err, m.Late())
	}
	again, err := m.Fetch(ctx, 2)
	if err != nil || len(again) != 2 || again[0].Claim.Epoch() <= ds[0].Claim.Epoch() {
		t.Fatalf("got %d deliveries, error %v, want both again under a later claim", len(again), err)
	}
	if err := m.Ack(ctx, again...); err != nil || store.through != 2 || m.Late() != 3 {
		t.Errorf("error %v, stored through %d, late %d, want 2 and 3", err, store.through, m.Late())
	}
	if err := m.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestAStandbyRefusesToLookWithoutAPause(t *testing.T) {
	g := durable.Group{Name: "g", Topics: durable.Topics("t")}
	for _, poll := range []time.Duration{0, -1} {
		_, err := adapterkit.NewStandby(context.Background(), "shelf", adapterkit.NewGate(), g, poll, nil)
		if !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("poll %s: got %v, want ErrInvalid", poll, err)
		}
	}
}
