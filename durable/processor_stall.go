package durable

import "time"

// crowded tells whether the window is full, or nearly. The caller holds mu.
func (r *run) crowded() bool {
	return r.held >= r.o.MaxInFlight-r.o.MaxInFlight/spareRoom || r.heldBytes >= r.o.MaxInFlightBytes-r.o.MaxInFlightBytes/spareRoom
}

// observeStall looks, now and then, whether a delivery keeps a crowded window from moving, or does not any more, and
// returns what is to be logged after the lock is given back. The caller holds mu.
func (r *run) observeStall() (began *Stall, over bool) {
	if r.stalled != nil {
		if r.crowded() && r.stalledTask.state != taskDone && r.stalledTask.state != taskReleased {
			return nil, false
		}
		r.stalled, r.stalledTask = nil, nil
		r.nextLook = time.Now().Add(r.o.StallAfter) // what was held behind it is old, too, and has just begun to move
		return nil, true
	}
	if !r.crowded() {
		return nil, false
	}
	now := time.Now()
	if now.Before(r.nextLook) {
		return nil, false
	}
	r.nextLook = now.Add(r.lookEvery())
	var oldest *task
	for _, c := range r.claims {
		if c.head != nil && (oldest == nil || c.head.since.Before(oldest.since)) {
			oldest = c.head
		}
	}
	if oldest == nil || now.Sub(oldest.since) < r.o.StallAfter {
		return nil, false
	}
	d := oldest.d
	oldest.claim.topic.Stalls++
	r.stalledTask = oldest
	r.stalled = &Stall{
		Topic: d.Topic, Partition: d.Claim.Partition(), Position: d.Position, Key: d.Key, Attempt: oldest.ctx.attempt,
		Since: oldest.since, Held: r.held, HeldBytes: r.heldBytes,
	}
	return r.stalled, false
}

// lookEvery is how often a crowded window is looked at.
func (r *run) lookEvery() time.Duration { return max(r.o.StallAfter/8, time.Millisecond) }

// tellStall logs what observeStall returned.
func (r *run) tellStall(began *Stall, over bool) {
	switch {
	case began != nil:
		r.logger.Warn("durable: a delivery keeps the window full, others have to wait", "topic", began.Topic,
			"partition", began.Partition, "position", string(began.Position), "attempt", began.Attempt,
			"held_since", began.Since, "in_flight", began.Held, "bytes", began.HeldBytes)
	case over:
		r.logger.Info("durable: the window moves again")
	}
}
