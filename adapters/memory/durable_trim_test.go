package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// fill stores n messages of one key and returns their positions.
func fill(t *testing.T, b *memory.Backend, n int) []durable.Position {
	t.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(fmt.Sprint(i), []byte("x"))
	}
	ps, err := b.Append(t.Context(), "a", msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// stored are the ids that a replay yields.
func stored(t *testing.T, b *memory.Backend, r durable.Range) (ids []string) {
	t.Helper()
	for rec, err := range b.Replay(t.Context(), "a", r) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rec.Message.UUID)
	}
	return ids
}

func remove(t *testing.T, b *memory.Backend, want int64, ps ...durable.Position) {
	t.Helper()
	if n, err := b.Remove(t.Context(), "a", ps...); err != nil || n != want {
		t.Errorf("Remove: got %d, %v, want %d", n, err, want)
	}
}

func take(t *testing.T, c durable.Consumer, n int) []durable.Delivery {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	ds, err := c.Fetch(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestWhatIsRemovedAtTheFrontExpiresNothing(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	ps := fill(t, b, 3000)
	g := durable.Group{Name: "g", Topics: durable.Topics("a")}
	c, err := b.Consume(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, b, 2998, ps[:2998]...)
	remove(t, b, 0, ps[:10]...)
	info, err := b.DescribeTopic(t.Context(), "a")
	want := durable.PartitionInfo{Oldest: ps[2998], Newest: ps[2999], Records: 2}
	if err != nil || info.Partitions[0] != want {
		t.Errorf("DescribeTopic: got %+v, %v, want %+v", info.Partitions, err, want)
	}
	for _, from := range []durable.Start{durable.Oldest(), durable.After(durable.Cursor{0: ps[5]})} {
		if got := stored(t, b, durable.Range{From: from}); !slices.Equal(got, []string{"2998", "2999"}) {
			t.Errorf("Replay: got %q", got)
		}
	}
	ds := take(t, c, 10)
	if len(ds) != 2 || ds[0].Message.UUID != "2998" {
		t.Fatalf("Fetch: got %d deliveries, want the last two", len(ds))
	}
	if err := c.Ack(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	if lag, err := b.Lag(t.Context(), "g", "a"); err != nil || lag[0].Lag != 0 || lag[0].Position != ps[2999] {
		t.Errorf("Lag: got %+v, %v", lag, err)
	}
}

func TestARemovedDeliveryIsNotHandedOutAgain(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	ps := fill(t, b, 4)
	c, err := b.Consume(t.Context(), durable.Group{Name: "g", Topics: durable.Topics("a")})
	if err != nil {
		t.Fatal(err)
	}
	ds := take(t, c, 4)
	remove(t, b, 2, ps[1], ps[3])
	c.Release(ds...)
	got := take(t, c, 4)
	if len(got) != 2 || got[0].Position != ps[0] || got[1].Position != ps[2] {
		t.Fatalf("Fetch: got %+v, want the two that are stored", got)
	}
	if err := c.Ack(t.Context(), got...); err != nil {
		t.Fatal(err)
	}
	more := fill(t, b, 1)
	if got := take(t, c, 4); len(got) != 1 || got[0].Position != more[0] {
		t.Errorf("Fetch: got %+v, want the new one", got)
	}
	lag, err := b.Lag(t.Context(), "g", "a")
	if err != nil || lag[0].Lag != 1 || lag[0].Pending != 1 || lag[0].Position != ps[3] || lag[0].OldestPending <= 0 {
		t.Errorf("Lag: got %+v, %v", lag, err)
	}
	if m := lag[0].Members; len(m) != 1 || m[0].Member == "" || m[0].Pending != 1 {
		t.Errorf("Lag: got the members %+v, want one that holds one", m)
	}
}

func TestTrimCountsNoHoles(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	ps := fill(t, b, 10)
	remove(t, b, 4, ps[2], ps[7], ps[8], ps[9])
	got, err := b.Trim(t.Context(), "a", durable.Trim{MaxLen: 3})
	if want := (durable.Trimmed{Records: 3}); err != nil || got != want {
		t.Errorf("Trim: got %+v, %v, want %+v", got, err, want)
	}
	if got := stored(t, b, durable.Range{}); !slices.Equal(got, []string{"4", "5", "6"}) {
		t.Errorf("Replay: got %q, want the newest three", got)
	}
	if info, err := b.DescribeTopic(t.Context(), "a"); err != nil || info.Partitions[0].Newest != ps[6] || info.Partitions[0].Records != 3 {
		t.Errorf("DescribeTopic: got %+v, %v", info, err)
	}
}

func TestAHoldUpIsOfStoredRecordsAlone(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	ps := fill(t, b, 5)
	c, err := b.Consume(t.Context(), durable.Group{Name: "g", Topics: durable.Topics("a")})
	if err != nil {
		t.Fatal(err)
	}
	ds := take(t, c, 5)
	if err := c.Ack(t.Context(), ds[1]); err != nil { // the first two
		t.Fatal(err)
	}
	for _, want := range []durable.Trimmed{{Records: 2, Held: true}, {}} {
		if got, err := b.Trim(t.Context(), "a", durable.Trim{MaxLen: 2}); err != nil || got != want {
			t.Errorf("Trim: got %+v, %v, want %+v", got, err, want)
		}
		remove(t, b, want.Records/2, ps[2])
	}
}

func TestMaxLenBoundsWhatIsKeptBehindARecordThatStays(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1, MaxLen: 50})
	fill(t, b, 1)
	for range 100 {
		ps := fill(t, b, 1)
		remove(t, b, 1, ps...)
	}
	if got := stored(t, b, durable.Range{}); len(got) != 0 {
		t.Errorf("Replay: got %q, want none", got)
	}
}

func TestOnlyPositionsOfTheTopicAreRemoved(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	old := fill(t, b, 1)
	if err := b.DeleteTopic(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Remove(t.Context(), "a", old...); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("Remove: got %v, want ErrTopicNotFound", err)
	}
	fill(t, b, 1)
	remove(t, b, 0, old...)
	if _, err := b.Remove(t.Context(), "a", "what"); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("Remove: got %v, want ErrInvalid", err)
	}
}

func TestAGroupThatIsNotThereIsNotManaged(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	fill(t, b, 1)
	for name, do := range map[string]func(topic string) error{
		"reset":  func(topic string) error { return b.ResetGroup(t.Context(), "g", topic, durable.Oldest()) },
		"delete": func(topic string) error { return b.DeleteGroup(t.Context(), "g", topic) },
	} {
		if err := do("a"); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
		if err := do("b"); !errors.Is(err, durable.ErrTopicNotFound) {
			t.Errorf("%s: got %v, want ErrTopicNotFound", name, err)
		}
	}
}
