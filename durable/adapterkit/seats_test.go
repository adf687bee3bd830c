package adapterkit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// How does a member take from all partitions that it owns, and acknowledge?
func ExampleSeats() {
	var seats adapterkit.Seats[string]
	for p, name := range []string{"left", "right"} {
		seats.Add(&adapterkit.Seat[string]{Claim: durable.NewClaim(context.Background(), "orders", p, 1), Of: name})
	}
	var ds []durable.Delivery
	fetch := func(seat *adapterkit.Seat[string], most int) (int, error) {
		for range most {
			at := seat.Want()
			seat.Hand(at, at+1)
			position := adapterkit.AppendPosition(nil, seat.Claim.Partition(), at, "now")
			ds = append(ds, durable.Delivery{Claim: seat.Claim, Position: durable.Position(position)})
		}
		return most, nil
	}
	err := seats.Share(5, fetch)
	for _, d := range ds {
		fmt.Println(d.Position)
	}
	late := seats.Ack(ds[:2], adapterkit.Offset, nil)
	for _, seat := range seats.All() {
		fmt.Println(seat.Of, "goes on at", seat.Through())
	}
	fmt.Println(late, err)
	// Output:
	// 0:0@now
	// 0:1@now
	// 0:2@now
	// 1:0@now
	// 1:1@now
	// left goes on at 2
	// right goes on at 0
	// 0 <nil>
}

func TestASeatThatFailsDoesNotStarveTheOthers(t *testing.T) {
	var seats adapterkit.Seats[int]
	for i := range 3 {
		seats.Add(&adapterkit.Seat[int]{Of: i})
	}
	broken, took := errors.New("broken"), map[int]int{}
	for range 6 {
		err := seats.Share(3, func(seat *adapterkit.Seat[int], most int) (int, error) {
			if seat.Of == 0 {
				return 0, broken
			}
			took[seat.Of] += most
			return most, nil
		})
		if err != nil && !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	if took[1] == 0 || took[2] == 0 {
		t.Errorf("got %v, want some of 1 and 2", took)
	}
}
