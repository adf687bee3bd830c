package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// claimsOf are the claims of ds.
func claimsOf(ds []durable.Delivery) map[*durable.Claim]bool {
	claims := map[*durable.Claim]bool{}
	for _, d := range ds {
		claims[d.Claim] = true
	}
	return claims
}

func TestIdleClaimsAreHandedOverAndTheOthersStay(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic := newTopic(t, b, 4)
	spread := func(i int) string { return fmt.Sprint("key-", i) }
	mustAppend(t, b, topic, events(200, spread)...)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	first := join(t, b, g)
	defer closeNow(t, first)
	ds := fetch(t, first, 200)
	if err := first.Ack(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(ds)
	second := join(t, b, g)
	defer closeNow(t, second)
	mustAppend(t, b, topic, events(200, spread)...)
	fetch(t, second, 1)
	moved := 0
	for c := range claims {
		select {
		case <-c.Draining():
			moved++
		default:
		}
	}
	if moved != 2 || len(claims) != 4 {
		t.Errorf("%d of %d claims were given up, want 2 of 4", moved, len(claims))
	}
}

func TestAClaimWithFullBuffersIsHandedOverWithoutOverlap(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic := newTopic(t, b, 2)
	spread := func(i int) string { return fmt.Sprint("key-", i) }
	for range 5 {
		mustAppend(t, b, topic, events(3000, spread)...)
	}
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	first := join(t, b, g)
	defer closeNow(t, first)
	ds := fetch(t, first, 1)
	for len(claimsOf(ds)) < 2 { // both with more than their buffers hold
		ds = append(ds, fetch(t, first, 1)...)
	}
	second := join(t, b, g)
	defer closeNow(t, second)
	var moved *durable.Claim
	testenv.Await(t, soon, func() bool {
		for _, d := range ds {
			select {
			case <-d.Claim.Draining():
				moved = d.Claim
				return true
			default:
			}
		}
		return false
	}, "a claim is draining")
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got, err := second.Fetch(short, 1); err == nil {
		t.Fatalf("the next owner got %s while the first one was at work", got[0].Position)
	}
	if moved.Lost() {
		t.Error("the claim was lost while its deliveries were at work")
	}
	var last durable.Delivery
	for _, d := range ds {
		if d.Claim == moved {
			last = d
		}
	}
	if err := first.Ack(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	_, offset, _ := parsePosition(last.Position)
	if got := bare(fetch(t, second, 1)[0].Position); got != position(int32(moved.Partition()), offset+1, "") {
		t.Errorf("the next owner begins at %s, want the one after %s", got, last.Position)
	}
	if !moved.Lost() {
		t.Error("the claim has another owner and is not lost")
	}
}
