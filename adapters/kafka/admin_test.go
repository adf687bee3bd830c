package kafka

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestLagTellsWhatIsLeftWhoHasItAndSinceWhen(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	topic, name := newTopic(t, b, 2), testenv.Name(t, "g")
	began := time.Now().Add(-time.Second)
	since := func() time.Duration { return time.Since(began) }
	mustAppend(t, b, topic, events(100, keyed(20))...)
	lag, err := b.Lag(t.Context(), name, topic)
	if err != nil || len(lag) != 2 || lag[0].Lag != -1 || lag[0].Members != nil {
		t.Errorf("before: got %+v, %v", lag, err)
	}
	c := join(t, b, durable.Group{Name: name, Member: "me", Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	ds := fetch(t, c, 100)
	var last durable.Delivery
	acked := int64(0)
	for _, d := range ds {
		if d.Claim.Partition() == ds[0].Claim.Partition() && acked < 10 {
			last = d
			acked++
		}
	}
	if err := c.Ack(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool {
		lag, err = b.Lag(t.Context(), name, topic)
		return err == nil && lag[0].Lag+lag[1].Lag == 100-acked && lag[0].Pending+lag[1].Pending == 100-acked
	}, "the lag is what is not finished, all of it handed out")
	for _, x := range lag {
		if len(x.Members) != 1 || x.Members[0].Member != "me" || x.OldestPending <= 0 || x.OldestPending > since() {
			t.Errorf("got %+v, want the member and the age of the oldest", x)
		}
	}
	if err := c.Ack(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool {
		lag, err = b.Lag(t.Context(), name, topic)
		return err == nil && lag[0].Lag == 0 && lag[0].Pending == 0 && lag[0].OldestPending == 0 && lag[1].Lag == 0
	}, "nothing is left")
}

func TestGroupsAreListedResetAndDeletedWhileNobodyConsumes(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	topic, name := newTopic(t, b, 2), testenv.Name(t, "g")
	mustAppend(t, b, topic, events(20, keyed(20))...)
	g := durable.Group{Name: name, Member: "me", Topics: durable.Topics(topic)}
	c := join(t, b, g)
	ds := fetch(t, c, 20)
	if err := c.Ack(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{b.ResetGroup(t.Context(), name, topic, durable.Oldest()), b.DeleteGroup(t.Context(), name, topic)} {
		if !errors.Is(err, durable.ErrGroupActive) {
			t.Errorf("with a member: got %v, want ErrGroupActive", err)
		}
	}
	closeNow(t, c)
	if groups, err := b.Groups(t.Context(), topic); err != nil || !slices.Equal(groups, []string{name}) {
		t.Errorf("groups: got %v, %v", groups, err)
	}
	if err := b.ResetGroup(t.Context(), name, topic, durable.After(durable.Cursor{0: "0:1"})); err != nil {
		t.Fatal(err)
	}
	c = join(t, b, g)
	seen := map[durable.Position]bool{}
	for _, d := range fetch(t, c, 18) {
		seen[bare(d.Position)] = true
	}
	if seen["0:1"] || !seen["0:2"] || !seen["1:0"] {
		t.Errorf("after the reset it began elsewhere: %v", seen)
	}
	closeNow(t, c)
	if err := b.DeleteGroup(t.Context(), name, topic); err != nil {
		t.Errorf("delete: %v", err)
	}
	if groups, err := b.Groups(t.Context(), topic); err != nil || len(groups) != 0 {
		t.Errorf("groups: got %v, %v", groups, err)
	}
}

func TestTrimKeepsWhatAGroupHasNotAcknowledged(t *testing.T) {
	b := openOn(t, quickly(t))
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(20, oneKey)...)
	trim := func(how durable.Trim, want durable.Trimmed, oldest durable.Position) {
		t.Helper()
		if got, err := b.Trim(t.Context(), topic, how); err != nil || got != want {
			t.Errorf("trim %+v: got %+v, %v, want %+v", how, got, err, want)
		}
		if info, err := b.DescribeTopic(t.Context(), topic); err != nil || bare(info.Partitions[0].Oldest) != oldest {
			t.Errorf("got %+v, %v, want the oldest at %s", info, err, oldest)
		}
	}
	trim(durable.Trim{MaxLen: 18}, durable.Trimmed{Records: 2}, "0:2")
	trim(durable.Trim{MaxLen: 18}, durable.Trimmed{}, "0:2")
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	if err := c.Ack(t.Context(), fetch(t, c, 5)...); err != nil {
		t.Fatal(err)
	}
	closeNow(t, c)
	trim(durable.Trim{MaxLen: 10}, durable.Trimmed{Records: 5, Held: true}, "0:7")
	trim(durable.Trim{MaxLen: 10, AllowUnread: true}, durable.Trimmed{Records: 3, Unread: 3}, "0:10")
	trim(durable.Trim{Before: time.Now().Add(-time.Hour)}, durable.Trimmed{}, "0:10")
	trim(durable.Trim{Before: time.Now().Add(time.Hour), AllowUnread: true}, durable.Trimmed{Records: 10, Unread: 10}, "")
	for _, err := range b.Replay(t.Context(), topic, durable.Range{From: durable.After(durable.Cursor{0: "0:1"})}) {
		if !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("replay from what is gone: got %v", err)
		}
	}
}
