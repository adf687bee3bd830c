package memory

import (
	"slices"

	"github.com/dualstream/dualstream/durable"
)

// hand notes that offset was handed out and tells which attempt that is.
func (pl *place) hand(offset int64) (attempt int) {
	if n := len(pl.handed); n > 0 && pl.handed[n-1] > offset {
		pl.unsorted = true
	}
	pl.handed = append(pl.handed, offset)
	if len(pl.attempts) == 0 {
		return 1
	}
	return pl.attempts[offset] + 1
}

// ackThrough finishes everything handed out up to and including offset, in fetch order.
func (pl *place) ackThrough(offset int64) {
	var n int
	if pl.unsorted {
		n = slices.Index(pl.handed, offset) + 1
	} else {
		i, found := slices.BinarySearch(pl.handed, offset)
		if n = i; found {
			n++
		}
	}
	if len(pl.attempts) > 0 {
		for _, off := range pl.handed[:n] {
			delete(pl.attempts, off)
		}
	}
	pl.handed = pl.handed[n:]
	pl.commit()
}

// release takes offsets back.
func (pl *place) release(offsets []int64) {
	slices.Sort(offsets)
	pl.handed = slices.DeleteFunc(pl.handed, func(off int64) bool {
		_, back := slices.BinarySearch(offsets, off)
		if back {
			pl.released = append(pl.released, off)
		}
		return back
	})
	slices.Sort(pl.released)
	pl.commit()
}

// commit moves committed up to the first offset that is not finished.
func (pl *place) commit() {
	through := pl.next
	if len(pl.released) > 0 {
		through = min(through, pl.released[0])
	}
	switch {
	case len(pl.handed) == 0:
		pl.handed, pl.unsorted = nil, false
	case pl.unsorted:
		through = min(through, slices.Min(pl.handed))
	default:
		through = min(through, pl.handed[0])
	}
	pl.committed = max(pl.committed, through)
}

// expired tells whether something that must be fetched next was trimmed.
func (pl *place) expired() bool {
	oldest, _ := pl.log().bounds()
	return pl.next < oldest || len(pl.released) > 0 && pl.released[0] < oldest
}

// jump goes on at the oldest record.
func (pl *place) jump() {
	oldest, _ := pl.log().bounds()
	pl.next = max(pl.next, oldest)
	pl.released = slices.DeleteFunc(pl.released, func(off int64) bool { return off < oldest })
	pl.commit()
}

// fetched is a record on its way to a delivery.
type fetched struct {
	rec     record
	topic   *topic
	claim   *durable.Claim
	offset  int64
	attempt int
}

// fetch appends at most n records of pl to out: what was released first, then what is new.
func (pl *place) fetch(out []fetched, n int, scratch *[]record) []fetched {
	log := pl.log()
	for n > 0 && len(pl.released) > 0 {
		recs, ok := log.read((*scratch)[:0], pl.released[0], pl.released[0]+1, 1)
		*scratch = recs
		if !ok {
			return out
		}
		off := pl.released[0]
		pl.released = pl.released[1:]
		out = append(out, fetched{recs[0], pl.topic, pl.claim, off, pl.hand(off)})
		n--
	}
	if n == 0 {
		return out
	}
	recs, _ := log.read((*scratch)[:0], pl.next, pl.next+int64(n), n)
	*scratch = recs
	for i := range recs {
		out = append(out, fetched{recs[i], pl.topic, pl.claim, pl.next, pl.hand(pl.next)})
		pl.next++
	}
	return out
}
