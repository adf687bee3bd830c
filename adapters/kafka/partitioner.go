package kafka

import (
	"math/rand/v2"
	"unsafe"

	"github.com/dualstream/dualstream/durable"
)

// stickiness is how many records without a key go to one partition before the next partition is chosen.
const stickiness = 100

// sticky chooses partitions for records without a key. The zero value starts anywhere.
type sticky struct {
	started bool
	current int
	left    int
}

// next is one of n partitions, of which it avoids those that are down as long as others are not.
func (s *sticky) next(n int, down func(int) bool) int32 {
	if s.left == 0 || s.current >= n || down(s.current) {
		s.turn(n, down)
	}
	s.left--
	return int32(s.current)
}

func (s *sticky) turn(n int, down func(int) bool) {
	start := s.current + 1
	if !s.started {
		s.started, start = true, rand.IntN(n)
	}
	s.left = stickiness
	for i := range n {
		s.current = (start + i) % n
		if !down(s.current) {
			return
		}
	}
	s.current = start % n
}

// partitionOf places a key as the Java client does.
func partitionOf(key []byte, n int) int32 {
	return int32(durable.Partition(unsafe.String(unsafe.SliceData(key), len(key)), n))
}
