package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// cuts are the members that were cut off from their group, as on a machine that is too busy for its session timeout:
// what they had handled last is handled again. They say so in their logs.
type cuts struct {
	mu      sync.Mutex
	members []string
	by      map[string][]string // by id: who handled it
}

// handled notes that member handled the message id.
func (c *cuts) handled(member, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string][]string{}
	}
	c.by[id] = append(c.by[id], member)
}

func (c *cuts) cut(member string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.members, member) {
		c.members = append(c.members, member)
	}
}

// logger is that of member.
func (c *cuts) logger(member string) *slog.Logger {
	return slog.New(&cutHandler{slog.Default().Handler(), func() { c.cut(member) }})
}

// cutHandler calls cut for a line that says that its member was cut off.
type cutHandler struct {
	slog.Handler
	cut func()
}

func (h *cutHandler) Handle(ctx context.Context, r slog.Record) error {
	for _, sign := range []string{"the claims are lost", "the claims were lost", "could not be committed"} {
		if strings.Contains(r.Message, sign) {
			h.cut()
		}
	}
	return h.Handler.Handle(ctx, r)
}

// settleDown waits until everything that was appended is handled, and judges: everything in order, never by two at
// once, and nothing twice but what a member handled that was cut off.
func (c *cuts) settleDown(t testing.TB, h *durabletest.History) {
	t.Helper()
	settleDown(t, h, durabletest.Promise{Ordered: true, Serial: true})
	c.mu.Lock()
	defer c.mu.Unlock()
	again := h.Check(durabletest.Promise{}).Duplicated
	for _, id := range again {
		if !slices.Contains(c.members, c.by[id][0]) {
			t.Errorf("%s was handled by %q, and only %q were cut off from the group", id, c.by[id], c.members)
		}
	}
	if len(c.members) > 0 {
		t.Logf("%d messages were handled again, because members were cut off from the group: %q", len(again), c.members)
	}
}

func TestAHandOverCommitsWhatWasHandledThoughItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	cfg := quickly(t)
	cfg.CommitInterval = soon // the hand-over alone commits
	b := openOn(t, cfg)
	topic, group := newTopic(t, b, 2), testenv.Name(t, "g")
	mustAppend(t, b, topic, events(100, keyed(100))...)
	first := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, first)
	ds := fetch(t, first, 100)
	second := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, second)
	moved := -1
	testenv.Await(t, soon, func() bool {
		for i, d := range ds {
			select {
			case <-d.Claim.Draining():
				moved = i
			default:
			}
		}
		return moved >= 0
	}, "a claim is draining")
	s := first.(*consumer).seat
	testenv.Await(t, soon, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.side == nil {
			return false
		}
		_ = s.side.Close()
		return true
	}, "there is a connection, which breaks")
	if err := first.Ack(t.Context(), ds[moved]); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool { return len(owned(second)[topic]) == 1 }, "the other member has the claim")
	mustAppend(t, b, topic, events(100, keyed(100))...)
	_, done, _ := parsePosition(ds[moved].Position)
	if p, got, _ := parsePosition(fetch(t, second, 1)[0].Position); int(p) != ds[moved].Claim.Partition() || got != done+1 {
		t.Errorf("the next owner begins at %d of partition %d, want the one after %s", got, p, ds[moved].Position)
	}
}

func TestALateCommitTakesNoNewerOneBack(t *testing.T) {
	t.Parallel()
	cfg := quickly(t)
	cfg.CommitInterval = soon
	b := openOn(t, cfg)
	topic, group := newTopic(t, b, 1), testenv.Name(t, "g")
	const n, beside = 6400, 64
	mustAppend(t, b, topic, events(n, oneKey)...)
	c := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	ds := fetch(t, c, n)
	for i := 0; i < n; i += beside {
		var wg sync.WaitGroup
		for _, d := range ds[i : i+beside] {
			wg.Go(func() {
				if err := errors.Join(c.Ack(t.Context(), d), c.(*consumer).saveOnce(nil)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		at, err := c.(*consumer).seat.stored(partitionsOf{topic: {0}})
		if want := int64(i + beside); err != nil || at[topic][0].offset != want {
			t.Fatalf("the group has offset %d, %v, want %d", at[topic][0].offset, err, want)
		}
	}
}
