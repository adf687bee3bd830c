package adapterkit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

func ExampleWindow() {
	var w adapterkit.Window
	for range 4 {
		w.Hand(w.Want(), w.Want()+10) // records of ten bytes each
	}
	w.Release(10)
	fmt.Println(w.AckThrough(20), w.Through(), w.Want())
	w.Hand(w.Want(), 0)
	fmt.Println(w.AckThrough(10), w.Through(), w.Handed())
	// Output:
	// [0 20] 10 10
	// [30 10] 40 []
}

// model is a window as simple as can be.
type model struct {
	next     int64
	handed   []int64
	released []int64
}

func (m *model) through() int64 {
	return slices.Min(append(slices.Concat(m.handed, m.released), m.next))
}

func TestAWindowDoesWhatItsModelDoes(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var w adapterkit.Window
		var m model
		for step := range 300 {
			switch rnd.IntN(5) {
			case 0, 1:
				at := w.Want()
				if len(m.released) > 0 {
					if at != slices.Min(m.released) {
						t.Fatalf("seed %d, step %d: got %d next, want what was released first of %v", seed, step, at, m.released)
					}
					m.released = slices.DeleteFunc(m.released, func(x int64) bool { return x == at })
				} else {
					m.next++
				}
				w.Hand(at, at+1)
				m.handed = append(m.handed, at)
			case 2:
				at := rnd.Int64N(m.next + 1)
				got := slices.Clone(w.AckThrough(at))
				want := m.handed[:slices.Index(m.handed, at)+1]
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d, step %d: got %v finished, want %v", seed, step, got, want)
				}
				m.handed = slices.Clone(m.handed[len(want):])
			case 3:
				w.Skip(m.next + 1)
				if len(m.released) > 0 {
					at := slices.Min(m.released)
					m.released = slices.DeleteFunc(m.released, func(x int64) bool { return x == at })
				} else {
					m.next++
				}
			case 4:
				at := []int64{rnd.Int64N(m.next + 1), rnd.Int64N(m.next + 1)}
				w.Release(at...)
				m.handed = slices.DeleteFunc(m.handed, func(x int64) bool {
					back := slices.Contains(at, x)
					if back {
						m.released = append(m.released, x)
					}
					return back
				})
			}
			if w.Through() != m.through() || !slices.Equal(w.Handed(), m.handed) || w.Next() != m.next {
				t.Fatalf("seed %d, step %d: got through %d with %v out, want %d with %v", seed, step, w.Through(), w.Handed(), m.through(), m.handed)
			}
		}
		w.Jump(m.next + 5)
		if w.Want() != m.next+5 {
			t.Fatalf("got %d after a jump, want %d", w.Want(), m.next+5)
		}
	}
}

func seatsOf(t *testing.T, n int) (*adapterkit.Seats[int], []*adapterkit.Seat[int]) {
	t.Helper()
	s := new(adapterkit.Seats[int])
	for i := range n {
		s.Add(&adapterkit.Seat[int]{Of: i, Claim: durable.NewClaim(t.Context(), "t", i, 1)})
	}
	return s, s.All()
}

func TestSeatsShareFairly(t *testing.T) {
	s, all := seatsOf(t, 3)
	all[1].Paused = true
	stored := []int{1, 100, 100}
	for _, want := range [][]int{{1, 0, 8}, {0, 0, 9}} {
		got := make([]int, 3)
		err := s.Share(9, func(seat *adapterkit.Seat[int], most int) (int, error) {
			n := min(most, stored[seat.Of])
			stored[seat.Of] -= n
			got[seat.Of] += n
			return n, nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	first := map[int]bool{} // whose turn it is when there is room for one
	for range 2 {
		_ = s.Share(1, func(seat *adapterkit.Seat[int], most int) (int, error) {
			first[seat.Of] = true
			return most, nil
		})
	}
	if s.Len() != 3 || first[1] {
		t.Errorf("got %v served, want no paused one", first)
	}
}

func TestAcknowledgementsUnderAClaimThatIsNotHeldAreLate(t *testing.T) {
	s, all := seatsOf(t, 2)
	deliver := func(seat *adapterkit.Seat[int], offset int64) durable.Delivery {
		seat.Hand(offset, offset+1)
		return durable.Delivery{Claim: seat.Claim, Position: durable.Position(adapterkit.AppendPosition(nil, seat.Of, offset, "i"))}
	}
	a, b, c := deliver(all[0], 0), deliver(all[0], 1), deliver(all[1], 0)
	foreign := durable.Delivery{Claim: all[0].Claim, Position: "elsewhere"}
	s.Remove(all[1])
	var done []int64
	late := s.Ack([]durable.Delivery{b, c, foreign}, adapterkit.Offset, func(_ *adapterkit.Seat[int], finished []int64) {
		done = append(done, finished...)
	})
	if late != 2 || !slices.Equal(done, []int64{0, 1}) || all[0].Through() != 2 || all[1].Through() != 0 {
		t.Errorf("got %d late and %v finished", late, done)
	}
	s.Release([]durable.Delivery{a, c}, adapterkit.Offset, nil)
	if all[0].Want() != 2 || all[1].Want() != 1 {
		t.Error("what was finished, or is another's, was released")
	}
}
