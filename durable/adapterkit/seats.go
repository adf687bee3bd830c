package adapterkit

import (
	"slices"

	"github.com/dualstream/dualstream/durable"
)

// Seat is a claim that a member holds, and what of it is handed out. Of is the adapter's own.
type Seat[S any] struct {
	Window
	Claim  *durable.Claim
	Paused bool // Share leaves it out
	Of     S
}

// Seats are the claims of one member, for backends that acknowledge through. The zero value is empty; it is not safe
// for concurrent use: the adapter's lock guards it.
type Seats[S any] struct {
	all  []*Seat[S]
	turn int // where the next Share begins
}

// Add adds a seat.
func (s *Seats[S]) Add(seat *Seat[S]) { s.all = append(s.all, seat) }

// Remove removes a seat whose claim was given up or lost: acknowledgements under it are late from now on.
func (s *Seats[S]) Remove(seat *Seat[S]) {
	s.all = slices.DeleteFunc(s.all, func(x *Seat[S]) bool { return x == seat })
}

// All are the seats, in a slice of the caller's own.
func (s *Seats[S]) All() []*Seat[S] { return slices.Clone(s.all) }

// Len is how many there are.
func (s *Seats[S]) Len() int { return len(s.all) }

// Find is the seat of claim, nil where the member does not hold it.
func (s *Seats[S]) Find(claim *durable.Claim) *Seat[S] {
	for _, seat := range s.all {
		if seat.Claim == claim {
			return seat
		}
	}
	return nil
}

// Share has fetch take at most n records in all: a fair share from each seat, then what is left from those that have
// more. The next Share begins with the next seat, even after an error, so that none starves. It ends with fetch's error.
func (s *Seats[S]) Share(n int, fetch func(seat *Seat[S], most int) (took int, err error)) error {
	count, first := len(s.all), s.turn
	s.turn = (first + 1) % max(count, 1)
	for pass := range 2 {
		for i := range count {
			seat, share := s.all[(first+i)%count], n
			if pass == 0 {
				share = (n + count - i - 1) / (count - i)
			}
			if share <= 0 || seat.Paused {
				continue
			}
			took, err := fetch(seat, share)
			if err != nil {
				return err
			}
			n -= took
		}
	}
	return nil
}

// Ack finishes the claim of each of ds through it, at the offset that offset tells, and calls done with what that
// finished, unless it is nil. It returns how many of ds came late: their claim is not held, or there is no offset.
func (s *Seats[S]) Ack(ds []durable.Delivery, offset func(*durable.Delivery) (int64, bool), done func(seat *Seat[S], finished []int64)) (late int64) {
	for i := range ds {
		at, ok := offset(&ds[i])
		seat := s.Find(ds[i].Claim)
		if seat == nil || !ok {
			late++
			continue
		}
		if finished := seat.AckThrough(at); done != nil {
			done(seat, finished)
		}
	}
	return late
}

// Release gives ds back, and calls done for each seat that has some of them, unless it is nil.
func (s *Seats[S]) Release(ds []durable.Delivery, offset func(*durable.Delivery) (int64, bool), done func(seat *Seat[S])) {
	for _, seat := range s.All() {
		var back []int64
		for i := range ds {
			if at, ok := offset(&ds[i]); ok && ds[i].Claim == seat.Claim {
				back = append(back, at)
			}
		}
		if len(back) > 0 {
			seat.Release(back...)
			if done != nil {
				done(seat)
			}
		}
	}
}
