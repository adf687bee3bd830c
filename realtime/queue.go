package realtime

// queue is a bounded FIFO whose ring grows up to size. It is not safe for concurrent use.
type queue struct {
	ring  []Notification
	head  int
	count int
	size  int
	first uint64            // sequence number of the oldest element
	index map[string]uint64 // sequence number by channel; nil unless the queue coalesces
}

func newQueue(size int, coalesce bool) queue {
	q := queue{size: size}
	if coalesce {
		q.index = map[string]uint64{}
	}
	return q
}

// push adds n. overflow says that the oldest element was dropped for it, coalesced that n took the place of an
// older one of its channel.
func (q *queue) push(n *Notification) (overflow, coalesced bool) {
	if q.index != nil {
		if seq, ok := q.index[n.Channel]; ok {
			q.ring[q.at(int(seq-q.first))] = *n
			return false, true
		}
	}
	if q.count == q.size {
		q.drop()
		overflow = true
	}
	if q.count == len(q.ring) {
		q.grow()
	}
	if q.index != nil {
		q.index[n.Channel] = q.first + uint64(q.count)
	}
	q.ring[q.at(q.count)] = *n
	q.count++
	return overflow, false
}

// at is the place in the ring of the element i after the oldest.
func (q *queue) at(i int) int { return (q.head + i) % len(q.ring) }

func (q *queue) grow() {
	ring := make([]Notification, min(q.size, max(16, 2*len(q.ring))))
	for i := range q.count {
		ring[i] = q.ring[q.at(i)]
	}
	q.ring, q.head = ring, 0
}

// drop removes the oldest element.
func (q *queue) drop() {
	if q.index != nil {
		delete(q.index, q.ring[q.head].Channel)
	}
	q.ring[q.head] = Notification{}
	q.head = (q.head + 1) % len(q.ring)
	q.first++
	q.count--
}

// popTo moves up to most of the oldest elements to the end of dst.
func (q *queue) popTo(dst []Notification, most int) []Notification {
	for range min(most, q.count) {
		dst = append(dst, q.ring[q.head])
		q.drop()
	}
	return dst
}

// clear removes everything and returns how much that was.
func (q *queue) clear() int {
	n := q.count
	clear(q.ring)
	clear(q.index)
	q.first += uint64(n)
	q.head, q.count = 0, 0
	return n
}
