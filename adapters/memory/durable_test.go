package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
)

func newBackend(t testing.TB, cfg memory.Config) *memory.Backend {
	t.Helper()
	b, err := memory.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func numbered(n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(strconv.Itoa(i), []byte("payload "+strconv.Itoa(i)))
		msgs[i].Metadata.Set(durable.MetaPartitionKey, "k"+strconv.Itoa(i%7))
	}
	return msgs
}

func appendAll(t testing.TB, b *memory.Backend, topic string, n int) []durable.Position {
	t.Helper()
	ps, err := b.Append(t.Context(), topic, numbered(n)...)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func TestNothingRunsAfterClose(t *testing.T) {
	defer leaktest.None(t, goleak.IgnoreCurrent())
	b, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, b, "orders", 10)
	c, err := b.Consume(t.Context(), durable.Group{Name: "g", Topics: durable.Topics("orders")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context(), 3); !errors.Is(err, durable.ErrClosed) {
		t.Fatalf("Fetch after Close: got %v, want ErrClosed", err)
	}
}

func TestAPositionOfADeletedTopicIsExpired(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	ps := appendAll(t, b, "orders", 3)
	if err := b.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	appendAll(t, b, "orders", 9)
	for _, err := range b.Replay(t.Context(), "orders", durable.Range{From: durable.After(durable.Cursor{0: ps[1]})}) {
		if !errors.Is(err, durable.ErrPositionExpired) {
			t.Fatalf("got %v, want ErrPositionExpired", err)
		}
	}
}

func TestATrimmedGroupFailsOrJumpsAsItsPolicySays(t *testing.T) {
	for _, policy := range []durable.ExpiredPolicy{durable.ExpiredFail, durable.ExpiredOldest} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			b := newBackend(t, memory.Config{Partitions: 1, MaxLen: 10})
			g := durable.Group{Name: "g", Topics: durable.Topics("orders"), OnExpired: policy}
			c, err := b.Consume(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, b, "orders", 25)
			ds, err := c.Fetch(t.Context(), 100)
			if policy == durable.ExpiredFail {
				if !errors.Is(err, durable.ErrPositionExpired) {
					t.Fatalf("got %v, want ErrPositionExpired", err)
				}
				return
			}
			if err != nil || len(ds) != 10 || ds[0].Message.UUID != "15" {
				t.Fatalf("got %d deliveries and %v, want the newest 10", len(ds), err)
			}
		})
	}
}

func TestReleasedDeliveriesComeBackFirstAndHoldTheCommit(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 1})
	appendAll(t, b, "orders", 6)
	g := durable.Group{Name: "g", Topics: durable.Topics("orders")}
	c, err := b.Consume(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := c.Fetch(t.Context(), 5)
	if err != nil || len(ds) != 5 {
		t.Fatalf("got %d deliveries and %v", len(ds), err)
	}
	c.Release(ds[2])
	if err := c.Ack(t.Context(), ds[4]); err != nil {
		t.Fatal(err)
	}
	lag, err := b.Lag(t.Context(), "g", "orders")
	if err != nil || lag[0].Lag != 4 || lag[0].Pending != 0 {
		t.Fatalf("lag: got %+v and %v, want lag 4, pending 0", lag, err)
	}
	again, err := c.Fetch(t.Context(), 5)
	if err != nil || len(again) != 2 || again[0].Message.UUID != "2" || again[0].Attempt != 1 {
		t.Fatalf("got %+v and %v, want messages 2 and 5", again, err)
	}
}

func TestAClaimMovesWhenWhatWasHandedOutIsFinished(t *testing.T) {
	b := newBackend(t, memory.Config{Partitions: 2})
	appendAll(t, b, "orders", 40)
	g := durable.Group{Name: "g", Topics: durable.Topics("orders")}
	first, err := b.Consume(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := first.Fetch(t.Context(), 40)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Consume(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	var moving *durable.Claim
	for _, d := range ds {
		select {
		case <-d.Claim.Draining():
			moving = d.Claim
		default:
		}
	}
	if moving == nil || moving.Lost() {
		t.Fatalf("want one claim draining and not lost, got %v", moving)
	}
	for _, d := range ds {
		if d.Claim == moving {
			first.Release(d)
		}
	}
	got, err := second.Fetch(t.Context(), 40)
	if err != nil || got[0].Claim.Partition() != moving.Partition() || got[0].Claim.Epoch() <= moving.Epoch() {
		t.Fatalf("got %+v and %v", got, err)
	}
	if !moving.Lost() {
		t.Fatal("the old claim is not lost")
	}
	if err := first.Ack(t.Context(), ds...); err != nil || b.LateAcks() == 0 {
		t.Fatalf("late acks: got %v and %d, want them counted", err, b.LateAcks())
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	_, err := memory.New(memory.Config{Partitions: -1})
	var invalid *durable.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Partitions" {
		t.Fatalf("got %v, want an InvalidError of Partitions", err)
	}
}
