package kafka

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestTopicsComeAndGoWithoutDisturbingTheOthers(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	stays, comes := newTopic(t, b, 3), newTopic(t, b, 1)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(stays)})
	defer closeNow(t, c)
	mustAppend(t, b, stays, events(30, keyed(30))...)
	mustAppend(t, b, comes, events(5, oneKey)...)
	ds := fetch(t, c, 30) // and never finished
	if err := c.SetTopics(t.Context(), durable.TopicStart{Topic: stays}, durable.TopicStart{Topic: comes, Start: durable.Newest()}); err != nil {
		t.Fatal(err)
	}
	added := mustAppend(t, b, comes, events(1, oneKey)...)
	got := fetch(t, c, 1)[0]
	if got.Topic != comes || got.Position != added[0] {
		t.Errorf("got %s of %s, want the first one behind the start", got.Position, got.Topic)
	}
	if err := c.Ack(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if err := c.SetTopics(t.Context(), durable.Topics(stays)...); err != nil {
		t.Fatal(err)
	}
	if !got.Claim.Lost() {
		t.Error("the claim of a topic that is gone is held")
	}
	for claim := range claimsOf(ds) {
		select {
		case <-claim.Draining():
			t.Errorf("partition %d of the topic that stays was given up", claim.Partition())
		default:
		}
	}
}

func TestAStartIsStoredWhereTheGroupHasMembersAlready(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	old, fresh := newTopic(t, b, 1), newTopic(t, b, 4)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(old)}
	first := join(t, b, g)
	defer closeNow(t, first)
	mustAppend(t, b, old, events(1, oneKey)...)
	fetch(t, first, 1) // it has joined
	mustAppend(t, b, fresh, events(20, keyed(20))...)
	g.Topics = []durable.TopicStart{{Topic: fresh, Start: durable.Newest()}}
	closeNow(t, join(t, b, g)) // before it fetched anything
	msgs := events(20, keyed(20))
	mustAppend(t, b, fresh, msgs...)
	g.Topics = durable.Topics(fresh)
	second := join(t, b, g)
	defer closeNow(t, second)
	var want, got []string
	for _, m := range msgs {
		want = append(want, m.UUID)
	}
	for _, d := range fetch(t, second, 20) {
		got = append(got, d.Message.UUID)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want what was appended behind the start: %v", got, want)
	}
}

func TestOfTwoStartsThatWaitTheOlderOneHolds(t *testing.T) {
	older, newer := offsets{}, offsets{}
	older.set("a", 0, 5)
	older.set("gone", 0, 1)
	newer.set("a", 0, 9)
	newer.set("b", 1, 2)
	got := older.merged(newer, []string{"a", "b"})
	if len(got) != 2 || got["a"][0] != 5 || got["b"][1] != 2 {
		t.Errorf("got %v", got)
	}
}

func TestNewPartitionsAreReadFromTheirOldestRecord(t *testing.T) {
	cfg := quickly(t)
	cfg.PartitionCheck = 50 * time.Millisecond
	b := openOn(t, cfg)
	topic := newTopic(t, b, 1)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic), Start: durable.Newest()})
	defer closeNow(t, c)
	mustAppend(t, b, topic, events(1, oneKey)...)
	held := fetch(t, c, 1)[0]
	grow(t, b, topic, 3)
	seen, knows := map[string]bool{}, openOn(t, cfg) // a backend that knows all partitions
	testenv.Await(t, soon, func() bool {
		for _, m := range events(10, keyed(10)) {
			if ps, err := knows.Append(t.Context(), topic, m); err == nil {
				seen[string(bare(ps[0]))] = true
			}
		}
		return seen["1:0"] && seen["2:0"]
	}, "the new partitions are appended to")
	for len(seen) > 0 { // a partition that has just been made may have no leader for a moment, which Fetch tells
		delete(seen, string(bare(awaitFetch(t, c).Position)))
	}
	if held.Claim.Lost() {
		t.Error("the claim of the partition that was there is lost")
	}
}

func TestAGroupBeginsWhereItsStartSays(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(10, oneKey)...)
	var between time.Time
	for _, r := range replayed(t, b, topic, durable.Range{}) {
		between = r.StoredAt.Add(time.Millisecond)
	}
	testenv.Await(t, soon, func() bool { return time.Now().After(between.Add(time.Millisecond)) }, "time passes")
	mustAppend(t, b, topic, events(10, oneKey)...)
	for name, want := range map[string]struct {
		start durable.Start
		first durable.Position
	}{
		"default": {durable.Start{}, "0:0"},
		"oldest":  {durable.Oldest(), "0:0"},
		"after":   {durable.After(durable.Cursor{0: "0:6"}), "0:7"},
		"at":      {durable.At(between), "0:10"},
		"newest":  {durable.Newest(), "0:20"},
	} {
		g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic), Start: want.start}
		c := join(t, b, g)
		if name == "newest" {
			mustAppend(t, b, topic, events(1, oneKey)...)
		}
		if got := bare(fetch(t, c, 1)[0].Position); got != want.first {
			t.Errorf("%s: got %s first, want %s", name, got, want.first)
		}
		closeNow(t, c)
		if name == "newest" {
			continue
		}
		if rs := firstReplayed(t, b, topic, want.start); rs != want.first {
			t.Errorf("replay from %s: got %s first, want %s", name, rs, want.first)
		}
	}
}

func firstReplayed(t testing.TB, b *Backend, topic string, start durable.Start) durable.Position {
	t.Helper()
	for r, err := range b.Replay(t.Context(), topic, durable.Range{From: start}) {
		if err != nil {
			t.Fatal(err)
		}
		return bare(r.Position)
	}
	return ""
}

func TestAPositionThatIsTrimmedUnderAMemberEndsItOrIsLeftBehind(t *testing.T) {
	b := openOn(t, quickly(t))
	for _, policy := range []durable.ExpiredPolicy{durable.ExpiredFail, durable.ExpiredOldest} {
		topic, name := newTopic(t, b, 1), testenv.Name(t, "g")
		g := durable.Group{Name: name, Topics: durable.Topics(topic), OnExpired: policy}
		closeNow(t, join(t, b, g)) // begins at 0
		mustAppend(t, b, topic, events(10, oneKey)...)
		c := join(t, b, g)
		// The member is put back to where it began after the records there are gone.
		h := awaitHeld(t, c)
		fetch(t, c, 10)
		if _, err := b.Trim(t.Context(), topic, durable.Trim{MaxLen: 5, AllowUnread: true}); err != nil {
			t.Fatal(err)
		}
		rewind(c.(*consumer), h)
		mustAppend(t, b, topic, events(1, oneKey)...)
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		ds, err := c.Fetch(ctx, 1)
		cancel()
		switch {
		case policy == durable.ExpiredFail && !errors.Is(err, durable.ErrPositionExpired):
			t.Errorf("got %v, %v, want ErrPositionExpired", ds, err)
		case policy == durable.ExpiredOldest && (err != nil || bare(ds[0].Position) != "0:5"):
			t.Errorf("got %v, %v, want the oldest record", ds, err)
		}
		closeNow(t, c)
	}
}

func awaitHeld(t testing.TB, c durable.Consumer) *held {
	t.Helper()
	var h *held
	testenv.Await(t, soon, func() bool {
		x := c.(*consumer)
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.held) > 0 && x.held[0].room != nil {
			h = x.held[0]
		}
		return h != nil
	}, "a claim is being read")
	return h
}

// rewind makes the reader of h begin at 0 again, as one does that was restarted with an old position.
func rewind(c *consumer, h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.room.claims = slices.DeleteFunc(h.room.claims, func(x *held) bool { return x == h })
	fresh := *h
	fresh.part.next = 0
	fresh.buffer, fresh.head, fresh.bytes = nil, 0, 0 // h may still be given what its reader gets
	h.draining = true                                 // nobody wants that
	c.byClaim[h.claim], c.held[0] = &fresh, &fresh
	c.homeless = append(c.homeless, &fresh)
	poke(c.unread)
}
