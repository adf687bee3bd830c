package rediskit

// directBytes is the most that a caller writes itself. A connection with nothing in flight has an empty send buffer,
// and the smallest that systems give takes as much at once: so the write does not wait for the server.
const directBytes = 4 << 10

// direct writes b from the goroutine of its caller, where the connection is idle and nothing waits: that saves the way
// through the Writer's own. It never waits. False: b is to be queued.
func (w *Writer) direct(b *Batch) bool {
	if len(b.Wire) > directBytes || !w.writing.TryLock() {
		return false
	}
	defer w.writing.Unlock()
	if w.link == nil || w.closing() || len(w.queue) > 0 || len(w.slots) > 0 {
		return false
	}
	select {
	case w.slots <- struct{}{}:
	default:
		return false
	}
	b.state.Store(taken)
	p := &pipeline{batches: []*Batch{b}, trailed: len(w.o.Trailer) > 0}
	if !w.link.begin(p, w.o.Timeout) {
		b.state.Store(waiting)
		<-w.slots
		return false
	}
	w.put(p)
	return true
}

// closing tells whether Close was called.
func (w *Writer) closing() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}
