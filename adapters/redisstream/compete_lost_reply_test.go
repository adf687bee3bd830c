package redisstream

import (
	"context"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// idleReader is a reader of topic, of member "m", that does nothing by itself and has looked at what is pending.
func idleReader(t *testing.T, b *Backend, topic string) (*reader, turn) {
	t.Helper()
	m := &competitor{
		b: b, group: competing(topic, "m"), log: b.logger(), epoch: time.Now(),
		batches: make(chan []durable.Delivery), byClaim: map[*durable.Claim]*share{},
	}
	m.ctx, m.cancel = context.WithCancel(t.Context())
	s := &share{place: newPlace(topic, 0, 1), held: map[entryNumber]struct{}{}}
	m.hold(s)
	s.adopting, s.claimFrom = false, "-"
	m.shares = []*share{s}
	r := m.newReader(nil)
	t.Cleanup(func() { m.cancel(); r.session.Close() })
	return r, turn{s, s.claim}
}

// comes fails the test unless r reads an entry.
func comes(t *testing.T, r *reader) {
	t.Helper()
	r.nextClaim = time.Now().Add(time.Hour)
	ended := make(chan error, 1)
	go func() { ended <- r.readOnce() }()
	select {
	case ds := <-r.batches:
		if len(ds) != 1 {
			t.Errorf("got %d deliveries, want 1", len(ds))
		}
		must(t, <-ended)
	case err := <-ended:
		t.Errorf("got nothing, %v, want the entry that is pending", err)
	}
}

// TestAClaimWhoseReplyWasLostIsNoticed has the server take an entry over for a member that is not told so.
func TestAClaimWhoseReplyWasLostIsNoticed(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw, b := client(t, addr), open(t, Config{Connection: Connection{Addr: addr}})
	must(t, raw.XGroupCreateMkStream(t.Context(), topic, "g", "0").Err())
	store(t, b, topic, 0, 1)
	pend(t, raw, topic, "dead", 1)
	r, s := idleReader(t, b, topic)
	if n, err := b.server.claimIdle().Run(t.Context(), raw, []string{topic}, "g", "m", 0, 10, "-").Slice(); err != nil || n[1] != int64(1) {
		t.Fatalf("got %v, %v, want one entry taken over", n, err)
	}
	if _, err := r.claimPage(s, 10); err != nil { // as the client sends it again
		t.Fatal(err)
	}
	comes(t, r)
}

// TestAReadThatTheServerAnswersAfterItsConnectionBrokeIsNoticed has an entry become pending after the first look.
func TestAReadThatTheServerAnswersAfterItsConnectionBrokeIsNoticed(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw, b := client(t, addr), open(t, Config{Connection: Connection{Addr: addr}})
	must(t, raw.XGroupCreateMkStream(t.Context(), topic, "g", "0").Err())
	store(t, b, topic, 0, 1)
	r, _ := idleReader(t, b, topic)
	pend(t, raw, topic, "m", 1)
	r.lookAt = time.Now()
	comes(t, r)
}
