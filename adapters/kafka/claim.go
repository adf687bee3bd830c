package kafka

import (
	"errors"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const (
	// What of a claim may wait for Fetch before nothing more is fetched for it; one response may go beyond. It must be
	// more than is handled while a request is under way.
	claimBuffer = 16384   // records
	claimBytes  = 4 << 20 // and their payloads
)

// held is a claim of this member with what was read from it. The consumer's mu guards it, but for what the reader has.
type held struct {
	claim       *durable.Claim
	part        part // where reading is; its reader's, or that of who places it
	lost        bool // of its leader: the metadata must be asked
	expired     bool // the position is out of range
	known       bool // incarnation is that of the topic that is read, or else that of the position of the group
	draining    bool
	denied      bool  // the last answer was that the member may not read it
	resting     bool  // it was so a moment ago: nothing is asked
	paused      bool  // Fetch leaves it out
	buffer      []rec // read and not handed out; from head
	head        int
	bytes       int                // payloads from head
	back        []durable.Delivery // released, handed out again before the buffer
	out         []int64            // offsets handed out and not finished, in fetch order; from outHead
	outHead     int
	mixed       bool          // out is not ascending, because something was handed out again
	lowest      int64         // lowest offset given up while draining, which the next owner starts at; -1: none
	next        int64         // offset after the newest one handed out; -1 while it is not known where the claim begins
	counts      tally         // how often what is not finished was handed out by owners before
	saved       saved         // what the group has
	incarnation string        // "" where it is not known
	room        *reader       // to be woken when the buffer has room again
	idle        chan struct{} // closed when draining and nothing is out
}

func newHeld(c *consumer, topic string, partition, generation int32, at saved) *held {
	h := &held{
		claim: durable.NewClaim(c.claims, topic, int(partition), int64(generation)),
		part:  part{topic: topic, partition: partition, next: at.offset, end: -1, bytes: fetchBytes},
		next:  at.offset, lowest: -1, saved: at, incarnation: notedIncarnation(at.note), counts: parseTally(at.note), idle: make(chan struct{}),
	}
	h.claim.Guard(c.owns)
	return h
}

// hungry tells whether the claim is to be read: it has room for another response.
func (h *held) hungry() bool {
	return !h.draining && !h.resting && len(h.buffer)-h.head < claimBuffer && h.bytes < claimBytes
}

// put appends recs to the buffer.
func (h *held) put(recs []rec) {
	if h.draining {
		return
	}
	if h.head > 0 && h.head*2 >= len(h.buffer) {
		n := copy(h.buffer, h.buffer[h.head:])
		clear(h.buffer[n:])
		h.buffer, h.head = h.buffer[:n], 0
	}
	h.buffer = append(h.buffer, recs...)
	for i := range recs {
		h.bytes += len(recs[i].Value)
	}
}

// beginDrain is called with mu held.
func (c *consumer) beginDrain(h *held) {
	if h.draining {
		return
	}
	h.draining = true
	if len(h.back) > 0 { // ascending: the first one counts
		h.giveUp(h.back[0])
	}
	h.buffer, h.head, h.bytes, h.back = nil, 0, 0, nil
	h.claim.Drain()
	if h.room != nil {
		poke(h.room.wake)
	}
	if h.outHead == len(h.out) {
		close(h.idle)
	}
}

// giveUp notes that the next owner gets d.
func (h *held) giveUp(d durable.Delivery) {
	if _, offset, err := parsePosition(d.Position); err == nil && (h.lowest < 0 || offset < h.lowest) {
		h.lowest = offset
	}
}

// handOver drains claims, commits what is finished in them and ends them. It waits for what was handed out: until it
// is finished, the time for it is over, the claim is lost or the consumer closes.
func (c *consumer) handOver(hs []*held) {
	if len(hs) == 0 {
		return
	}
	c.mu.Lock()
	for _, h := range hs {
		c.beginDrain(h)
	}
	c.mu.Unlock()
	timer := time.NewTimer(c.b.cfg.RebalanceTimeout * 3 / 4)
	defer timer.Stop()
	over := false
	for _, h := range hs {
		if over {
			break
		}
		select {
		case <-h.idle:
		case <-h.claim.Context().Done():
		case <-timer.C:
			over = true
		case <-c.force:
			return // Close ends them
		}
	}
	if err := c.save(hs); err != nil {
		c.unsaved(err)
		c.report(err)
	}
	c.mu.Lock()
	for _, h := range hs {
		c.drop(h)
	}
	c.mu.Unlock()
	for _, h := range hs {
		h.claim.Lose(nil)
	}
}

// drop takes h off the list. The caller holds mu.
func (c *consumer) drop(h *held) {
	delete(c.byClaim, h.claim)
	c.held = slices.DeleteFunc(c.held, func(x *held) bool { return x == h })
	h.draining = true // its reader lets it go
	h.buffer, h.head = nil, 0
}

// loseAll ends all claims with cause and tells how many there were.
func (c *consumer) loseAll(cause error) int {
	c.mu.Lock()
	all := c.held
	c.held = nil
	for _, h := range all {
		c.beginDrain(h)
		delete(c.byClaim, h.claim)
	}
	c.mu.Unlock()
	for _, h := range all {
		h.claim.Lose(cause)
	}
	return len(all)
}

// saves commits what is finished, every CommitInterval and when told to.
func (c *consumer) saves() {
	tick := time.NewTicker(c.b.cfg.CommitInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-tick.C:
		case <-c.commit:
		case <-c.life.Done():
			return
		}
		err := c.saveStarts()
		if err == nil {
			err = c.saveOnce(nil)
		}
		switch {
		case err == nil && failing:
			failing = false
			c.recovered()
		case err != nil && !unsettled(err) && !unseated(err) && !errors.Is(err, errNotJoined):
			failing = true
			c.report(err)
		}
	}
}

// save commits what is finished in hs before others get it: again while the group is in between two generations, and
// while the coordinator cannot be reached but keeps the claims for this member.
func (c *consumer) save(hs []*held) error {
	again := func(err error) bool { return unsettled(err) || c.severed(err) }
	err := patiently(again, func() error { return c.saveOnce(hs) })
	if unseated(err) || errors.Is(err, errNotJoined) {
		c.unsaved(err) // whose acks these were is no longer known to the group
		return nil
	}
	return err
}

// unsaved notes that the next owners handle again what was finished.
func (c *consumer) unsaved(err error) {
	c.b.cfg.Logger.Warn("kafka: what was handled last could not be committed, the next owner handles it again",
		"group", c.group.Name, "error", err)
}

// saveOnce commits what is finished in hs, or in all claims where hs is nil.
func (c *consumer) saveOnce(hs []*held) error {
	defer c.oneAtATime()()
	under := c.seat.now()
	at := savedOf{}
	c.mu.Lock()
	if hs == nil {
		hs = slices.Clone(c.held)
	}
	of := map[string]map[int32]*held{}
	for _, h := range hs {
		v, due := h.due()
		if c.byClaim[h.claim] != h || !due {
			continue
		}
		topic, p := h.part.topic, h.part.partition
		at.set(topic, p, v)
		if of[topic] == nil {
			of[topic] = map[int32]*held{}
		}
		of[topic][p] = h
	}
	c.mu.Unlock()
	if len(at) == 0 {
		return nil
	}
	return c.seat.save(under, at, func(topic string, p int32, v saved) {
		c.mu.Lock()
		defer c.mu.Unlock()
		of[topic][p].saved = v
	})
}

// oneAtATime waits for its turn to commit and returns what ends it. A commit that came late would take back a newer one,
// and the next owner would handle again what lies between.
func (c *consumer) oneAtATime() (end func()) {
	c.saving <- struct{}{}
	return func() { <-c.saving }
}

// due is what the group should have, and whether it has something else.
func (h *held) due() (saved, bool) {
	if h.next < 0 {
		return saved{}, false
	}
	v := saved{offset: h.committable()}
	v.note = h.counts.after(v.offset, h.handedOut()).note(h.incarnation)
	return v, v != h.saved
}

// handedOut is the offset before which records were handed out under this claim.
func (h *held) handedOut() int64 {
	if h.lowest >= 0 {
		return min(h.next, h.lowest)
	}
	return h.next
}

// committable is the lowest offset that is not finished.
func (h *held) committable() int64 {
	at := h.next
	out := h.out[h.outHead:]
	if !h.mixed && len(out) > 0 {
		out = out[:1]
	}
	for _, o := range out {
		at = min(at, o)
	}
	for _, d := range h.back {
		_, o, _ := parsePosition(d.Position)
		at = min(at, o)
	}
	if h.lowest >= 0 {
		at = min(at, h.lowest)
	}
	return at
}
