package durable

// lane is the queue of one key of one claim. It exists while a delivery of the key is ready, running or waiting for
// its retry; what comes meanwhile queues here.
type lane struct {
	key   string
	queue taskQueue

	gathered bool // the batch that ProcessBatch is making has its first

	// While a batch of ProcessBatch is settled:
	inBatch int       // deliveries of the lane in the batch that are not settled
	broken  bool      // one of them failed,
	back    taskQueue // and these come again after it
}

// mend puts what came behind a failed one in its batch back in front of the queue.
func (l *lane) mend() {
	if l.back.head != nil {
		l.back.tail.next = l.queue.head
		if l.queue.tail == nil {
			l.queue.tail = l.back.tail
		}
		l.queue.head = l.back.head
	}
	l.inBatch, l.broken, l.back = 0, false, taskQueue{}
}

// taskQueue is an intrusive FIFO: a task is in at most one.
type taskQueue struct{ head, tail *task }

func (q *taskQueue) push(t *task) {
	if q.tail == nil {
		q.head = t
	} else {
		q.tail.next = t
	}
	q.tail = t
}

func (q *taskQueue) pop() *task {
	t := q.head
	if t == nil {
		return nil
	}
	q.head, t.next = t.next, nil
	if q.head == nil {
		q.tail = nil
	}
	return t
}

// arrive puts a fetched task where it belongs: behind the one of its key, or in the ready queue. The caller holds mu.
func (r *run) arrive(t *task) {
	c := t.claim
	if t.d.Key == "" && !r.strict {
		r.ready.push(t)
		return
	}
	if l := c.lanes[t.d.Key]; l != nil {
		t.lane = l
		l.queue.push(t)
		if l.gathered {
			r.batch.grown = true
			r.batch.more.Signal()
		}
		return
	}
	t.lane = r.newLane(t.d.Key)
	c.lanes[t.d.Key] = t.lane
	r.ready.push(t)
}

// pass makes the successor of t in its lane ready, or gives the lane up. The caller holds mu.
func (r *run) pass(t *task) {
	l := t.lane
	if l == nil {
		return
	}
	t.lane = nil
	if l.inBatch > 1 { // the next one is in the same batch
		l.inBatch--
		return
	}
	l.inBatch = 0
	for next := l.queue.pop(); next != nil; next = l.queue.pop() {
		if next.state == taskQueued { // or it was given back
			r.ready.push(next)
			return
		}
	}
	delete(t.claim.lanes, l.key)
	l.key = ""
	r.spare = append(r.spare, l)
}

func (r *run) newLane(key string) *lane {
	n := len(r.spare) - 1
	if n < 0 {
		return &lane{key: key}
	}
	l := r.spare[n]
	r.spare = r.spare[:n]
	l.key = key
	return l
}

// take removes the next ready task, nil if there is none. Those of a lost claim stay in its window, where drain finds
// them. The caller holds mu.
func (r *run) take() *task {
	for {
		t := r.ready.pop()
		if t == nil || t.state == taskQueued && !t.claim.claim.Lost() {
			return t
		}
	}
}
