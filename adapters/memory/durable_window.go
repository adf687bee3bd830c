package memory

import "math"

// hand notes that the record at offset was handed out and tells which attempt that is.
func (pl *place) hand(offset int64) (attempt int) {
	pl.seat.Hand(offset, offset+1)
	if len(pl.attempts) == 0 {
		return 1
	}
	return pl.attempts[offset] + 1
}

// finish forgets the attempts of what was acknowledged.
func (pl *place) finish(offsets []int64) {
	if len(pl.attempts) > 0 {
		for _, off := range offsets {
			delete(pl.attempts, off)
		}
	}
	pl.commit()
}

// commit moves committed up to the first offset that is not finished.
func (pl *place) commit() { pl.committed = max(pl.committed, pl.seat.Through()) }

// expired tells whether what must be fetched next was trimmed.
func (pl *place) expired() bool {
	oldest, _ := pl.log().bounds()
	return pl.seat.Want() < oldest
}

// jump goes on at the oldest record.
func (pl *place) jump() {
	oldest, _ := pl.log().bounds()
	pl.seat.Jump(oldest)
	pl.commit()
}

// fetched is a record on its way to a delivery.
type fetched struct {
	rec     record
	seat    *seat
	offset  int64
	attempt int
}

// fetch appends at most n records of pl to out: what was released first, then what is new.
func (pl *place) fetch(out []fetched, n int, scratch *[]record) []fetched {
	log, w := pl.log(), pl.seat
	for n > 0 && w.Want() < w.Next() {
		off := w.Want()
		recs, _, ok := log.read((*scratch)[:0], off, off+1, 1)
		*scratch = recs
		if !ok {
			return out
		}
		if len(recs) == 0 {
			pl.skip(off + 1)
			continue
		}
		out = append(out, fetched{recs[0], w, off, pl.hand(off)})
		n--
	}
	if n == 0 {
		return out
	}
	recs, next, _ := log.read((*scratch)[:0], w.Next(), math.MaxInt64, n)
	*scratch = recs
	for i := range recs {
		off := recs[i].offset
		out = append(out, fetched{recs[i], w, off, pl.hand(off)})
	}
	if next > w.Next() {
		pl.skip(next)
	}
	return out
}

// skip passes over what was removed: it is finished.
func (pl *place) skip(next int64) {
	delete(pl.attempts, pl.seat.Want())
	pl.seat.Skip(next)
	pl.commit()
}
