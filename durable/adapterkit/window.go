package adapterkit

import "slices"

// Window is what one claim has handed out and not finished, for backends that acknowledge through (durable.AckThrough).
// Records are known by their offsets, which rise in stored order. The zero value begins at offset 0; it is not safe for
// concurrent use.
type Window struct {
	next     int64   // the first offset that was never handed out
	handed   []int64 // and not finished, in fetch order
	unsorted bool    // handed does not rise, because something was released and handed out again
	released []int64 // to be handed out again, rising
}

// Reset makes w a window of which nothing was handed out and that begins at next.
func (w *Window) Reset(next int64) { *w = Window{next: next} }

// Next is where the records begin that were never handed out.
func (w *Window) Next() int64 { return w.next }

// Want is the offset to hand out now: the lowest that was released, else Next.
func (w *Window) Want() int64 {
	if len(w.released) > 0 {
		return w.released[0]
	}
	return w.next
}

// Hand notes that the record at Want was handed out. Next becomes next if it was there.
func (w *Window) Hand(offset, next int64) {
	if len(w.released) > 0 && w.released[0] == offset {
		w.released = w.released[1:]
	} else {
		w.next = next
	}
	if n := len(w.handed); n > 0 && w.handed[n-1] > offset {
		w.unsorted = true
	}
	w.handed = append(w.handed, offset)
}

// Skip passes over the record at Want, which is not stored any more. Next becomes next if it was there.
func (w *Window) Skip(next int64) {
	if len(w.released) > 0 {
		w.released = w.released[1:]
		return
	}
	w.next = next
}

// AckThrough finishes what was handed out up to and including offset, in fetch order, and returns what that was until
// the next call of a method. What is not handed out, because it was finished or released, finishes nothing.
func (w *Window) AckThrough(offset int64) (finished []int64) {
	i, found := 0, false
	if w.unsorted {
		i = slices.Index(w.handed, offset)
		found = i >= 0
	} else {
		i, found = slices.BinarySearch(w.handed, offset)
	}
	if !found {
		return nil
	}
	finished, w.handed = w.handed[:i+1], w.handed[i+1:]
	w.tidy()
	return finished
}

// Release takes offsets back: they are handed out again, in stored order and before what is new. What is not handed out
// is left alone.
func (w *Window) Release(offsets ...int64) {
	back := slices.Sorted(slices.Values(offsets))
	w.handed = slices.DeleteFunc(w.handed, func(offset int64) bool {
		_, found := slices.BinarySearch(back, offset)
		if found {
			w.released = append(w.released, offset)
		}
		return found
	})
	slices.Sort(w.released)
	w.tidy()
}

func (w *Window) tidy() {
	if len(w.handed) == 0 {
		w.handed, w.unsorted = nil, false
	}
}

// Handed are the offsets that are handed out and not finished, in fetch order, until the next call of a method.
func (w *Window) Handed() []int64 { return w.handed }

// Through is what the group has to remember: everything before it is finished.
func (w *Window) Through() int64 {
	through := w.Want()
	switch {
	case len(w.handed) == 0:
		return through
	case w.unsorted:
		return min(through, slices.Min(w.handed))
	default:
		return min(through, w.handed[0])
	}
}

// Jump goes on at oldest where what would be handed out was trimmed.
func (w *Window) Jump(oldest int64) {
	w.next = max(w.next, oldest)
	w.released = slices.DeleteFunc(w.released, func(offset int64) bool { return offset < oldest })
}
