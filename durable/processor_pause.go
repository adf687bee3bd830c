package durable

// balancePauses has the consumer, where it can, keep claims back that hold more than half of the window while there are
// others, until they hold a quarter.
func (r *run) balancePauses() {
	if r.pauser == nil {
		return
	}
	r.pausing.Lock() // so that a claim is told in the order of the decisions; taken before mu
	defer r.pausing.Unlock()
	pause, resume := r.pauseChanges(r.pauser.Claims() > 1)
	for _, c := range pause {
		r.pauser.Pause(c)
	}
	for _, c := range resume {
		r.pauser.Resume(c)
	}
}

// pauseChanges is which claims are to be paused and resumed. siblings: the member has several.
func (r *run) pauseChanges(siblings bool) (pause, resume []*Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.claims {
		switch {
		case c.draining:
		case c.paused && (!siblings || !r.holds(c, 4)):
			c.paused = false
			resume = append(resume, c.claim)
		case !c.paused && siblings && r.holds(c, 2):
			c.paused = true
			pause = append(pause, c.claim)
		}
	}
	return pause, resume
}

// holds tells whether c holds more than a part of the window: one part-th of its events or bytes. The caller holds mu.
func (r *run) holds(c *claimed, part int) bool {
	return c.held > r.o.MaxInFlight/part || c.heldBytes > r.o.MaxInFlightBytes/part
}
