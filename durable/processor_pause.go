package durable

// spareRoom is the part of the window, one spareRoom-th of it, that is kept for claims that hold next to nothing.
const spareRoom = 8

// balancePauses has the consumer, where it can, keep claims back while there are others: those that hold more than half
// of the window, until they hold a quarter, and while the window is full but for the spare room, those that hold more
// than their part of that.
func (r *run) balancePauses() {
	if r.pauser == nil {
		return
	}
	r.pausing.Lock() // so that a claim is told in the order of the decisions; taken before mu
	defer r.pausing.Unlock()
	pause, resume := r.pauseChanges(r.pauser.Claims())
	for _, c := range pause {
		r.pauser.Pause(c)
	}
	for _, c := range resume {
		r.pauser.Resume(c)
	}
}

// pauseChanges is which claims, of so many of the member, are to be paused and resumed.
func (r *run) pauseChanges(claims int) (pause, resume []*Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alone = claims < 2
	crowded := !r.alone && r.crowded()
	for _, c := range r.claims {
		crowds := crowded && r.holds(c, spareRoom*claims)
		switch {
		case c.draining:
		case c.paused && (r.alone || !r.holds(c, 4) && !crowds):
			c.paused = false
			resume = append(resume, c.claim)
		case !c.paused && !r.alone && (r.holds(c, 2) || crowds):
			c.paused = true
			pause = append(pause, c.claim)
		}
	}
	return pause, resume
}

// window is what may be held now. A claim that is alone leaves spare room, for one that comes while it does not move;
// several get to it only once those that hold more than their part are paused. The caller holds mu.
func (r *run) window() (events, bytes int) {
	events, bytes = r.o.MaxInFlight, r.o.MaxInFlightBytes
	if r.pauser != nil && (r.alone || !r.crowded()) {
		events, bytes = events-events/spareRoom, bytes-bytes/spareRoom
	}
	return events, bytes
}

// holds tells whether c holds more than a part of the window: one part-th of its events or bytes. The caller holds mu.
func (r *run) holds(c *claimed, part int) bool {
	return c.held > r.o.MaxInFlight/part || c.heldBytes > r.o.MaxInFlightBytes/part
}
