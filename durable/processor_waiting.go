package durable

import "time"

// longHandler is how long a delivery is held by a handler that takes long, where other workers have nothing to do.
const longHandler = time.Second

// inWaiting is Group.Waiting.
func (r *run) inWaiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	starving := r.ready.head == nil && (r.idlers > 0 || r.started < r.workersMost)
	if r.giving != nil {
		starving = r.ready.head == nil && r.running < cap(r.giving.out)
	}
	long := time.Now().Add(-longHandler)
	n := 0
	for _, c := range r.claims {
		for t := c.head; t != nil; t = t.after {
			switch {
			case t.state == taskWaiting || t.state == taskParked:
			case t.state == taskRunning && t.lane != nil && starving && t.since.Before(long):
			default:
				continue
			}
			n++
			if t.lane != nil {
				n += t.lane.queue.count()
			}
		}
	}
	return min(n, r.held) // a batch of ProcessBatch may have several of one lane
}

// count is how many there are, in as many steps.
func (q *taskQueue) count() (n int) {
	for t := q.head; t != nil; t = t.next {
		n++
	}
	return n
}
