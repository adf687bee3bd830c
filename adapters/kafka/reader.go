package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const (
	placePause = 100 * time.Millisecond // between attempts to find a leader
	shortWait  = 20 * time.Millisecond  // how long a broker may hold a fetch while a claim waits for room
)

// reader fetches the claims that one broker leads, on a connection of its own. A claim without room is left out of the
// request, so that it holds up no other.
type reader struct {
	c      *consumer
	addr   string
	claims []*held       // guarded by the consumer's mu
	wake   chan struct{} // 1: a claim came, or has room again
}

// places finds readers for claims: new ones, and those whose leader moved.
func (c *consumer) places() {
	for {
		select {
		case <-c.unread:
		case <-c.life.Done():
			return
		}
		for c.placeAll() != nil && c.life.Err() == nil {
			select {
			case <-time.After(placePause):
			case <-c.life.Done():
			}
		}
	}
}

// placeAll gives the homeless claims to readers; those for which that failed stay homeless.
func (c *consumer) placeAll() error {
	c.mu.Lock()
	hs := slices.DeleteFunc(c.homeless, func(h *held) bool { return c.byClaim[h.claim] != h || h.draining })
	c.homeless = nil
	c.mu.Unlock()
	var errs error
	at, asked := map[string][]*held{}, map[string]string{}
	for _, h := range hs {
		addr, err := c.locate(h, asked)
		if errors.Is(err, errRemade) {
			continue
		}
		if errors.Is(err, durable.ErrPositionExpired) {
			c.fail(fmt.Errorf("kafka: group %q: %w", c.group.Name, err))
			continue
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s/%d: %w", h.part.topic, h.part.partition, err))
			c.mu.Lock()
			h.lost = true
			c.homeless = append(c.homeless, h)
			c.mu.Unlock()
			continue
		}
		at[addr] = append(at[addr], h)
	}
	for addr, hs := range at {
		c.give(addr, hs)
	}
	if errs != nil {
		c.report(errs)
	} else if len(hs) > 0 {
		c.recovered()
	}
	return errs
}

// locate is the address of the leader of h. It also finds out where h begins, where that is not known. asked are the
// incarnations of topics that were asked for already.
func (c *consumer) locate(h *held, asked map[string]string) (string, error) {
	topic, p := h.part.topic, h.part.partition
	if h.lost {
		if err := c.client.RefreshMetadata(topic); err != nil {
			return "", err
		}
		h.lost = false
	}
	if err := c.identify(h, asked); err != nil {
		return "", err
	}
	if h.expired || h.part.next < 0 {
		if err := c.enter(h); err != nil {
			return "", err
		}
	}
	leader, err := c.client.Leader(topic, p)
	if err != nil {
		return "", err
	}
	return leader.Addr(), nil
}

// enter moves h to the oldest record, where it has no position or one that is not stored any more and that is allowed.
func (c *consumer) enter(h *held) error {
	topic, p := h.part.topic, h.part.partition
	oldest, newest, err := bounds(c.client, topic, p)
	if err != nil {
		return err
	}
	if h.part.next < oldest || h.part.next > newest {
		if h.expired && c.group.OnExpired != durable.ExpiredOldest {
			return expired(topic, p, h.part.next, oldest, newest)
		}
		if h.expired {
			c.jumped(topic, p, h.part.next, oldest)
		}
		c.mu.Lock()
		if h.next < 0 {
			h.next = oldest
		}
		c.mu.Unlock()
		h.part.next = oldest
	}
	h.expired = false
	return nil
}

// give hands claims to the reader of addr, and starts one where there is none.
func (c *consumer) give(addr string, hs []*held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.readers[addr]
	if r == nil {
		r = &reader{c: c, addr: addr, wake: make(chan struct{}, 1)}
		c.readers[addr] = r
		c.loops.Go(r.run)
	}
	for _, h := range hs {
		h.room = r
	}
	r.claims = append(r.claims, hs...)
	poke(r.wake)
}

// run reads until the reader has no claims any more.
func (r *reader) run() {
	for {
		_, claims := r.hungry()
		if claims == 0 || r.c.life.Err() != nil {
			return
		}
		if err := r.read(); err != nil {
			r.expel(err)
		}
	}
}

// hungry are the claims with room, of so many. Without claims the reader is off the list.
func (r *reader) hungry() (hs []*held, of int) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	r.claims = slices.DeleteFunc(r.claims, func(h *held) bool { return h.draining || c.byClaim[h.claim] != h })
	if len(r.claims) == 0 {
		if c.readers[r.addr] == r {
			delete(c.readers, r.addr)
		}
		return nil, 0
	}
	for _, h := range r.claims {
		if h.hungry() {
			hs = append(hs, h)
		}
	}
	return hs, len(r.claims)
}

// expel gives all claims back to who places them, because the broker cannot be read from.
func (r *reader) expel(err error) {
	c := r.c
	c.mu.Lock()
	for _, h := range r.claims {
		h.lost = true
		c.homeless = append(c.homeless, h)
	}
	r.claims = nil
	c.mu.Unlock()
	c.report(fmt.Errorf("read from %s: %w", r.addr, err))
	select {
	case <-time.After(placePause):
	case <-c.life.Done():
	}
	poke(c.unread)
}

// read fetches for the claims that have room until the connection fails or there are no claims any more.
func (r *reader) read() error {
	b, err := dial(r.addr, r.c.client.Config())
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	defer context.AfterFunc(r.c.life, func() { _ = b.Close() })()
	for {
		hs, of := r.hungry()
		if of == 0 || r.c.life.Err() != nil {
			return nil
		}
		if len(hs) == 0 {
			select {
			case <-r.wake:
			case <-r.c.life.Done():
			}
			continue
		}
		wait := followWait
		if len(hs) < of {
			wait = shortWait // the others may have room soon
		}
		resp, err := b.Fetch(request(hs, wait))
		if err != nil {
			return err
		}
		if top := code(sarama.KError(resp.ErrorCode)); top != nil {
			return top
		}
		for _, h := range hs {
			r.take(h, resp.GetBlock(h.part.topic, h.part.partition))
		}
	}
}

func request(hs []*held, wait time.Duration) *sarama.FetchRequest {
	req := newFetch(wait)
	for _, h := range hs {
		req.AddBlock(h.part.topic, h.part.partition, h.part.next, h.part.bytes, -1)
	}
	return req
}

// take puts what block has into the buffer of h. A claim that cannot be read here is placed anew.
func (r *reader) take(h *held, block *sarama.FetchResponseBlock) {
	if block == nil {
		return // the response was full
	}
	err := code(block.Err)
	var recs []rec
	if err == nil {
		recs, err = h.part.scan(block)
	}
	if isDenied(err) {
		r.rest(h, err)
		return
	}
	c := r.c
	c.mu.Lock()
	h.put(recs)
	again := h.denied && err == nil
	h.denied = false
	if err != nil {
		h.lost, h.expired = true, errors.Is(err, sarama.ErrOffsetOutOfRange)
		r.claims = slices.DeleteFunc(r.claims, func(x *held) bool { return x == h })
		c.homeless = append(c.homeless, h)
	}
	c.mu.Unlock()
	if len(recs) > 0 {
		poke(c.ready)
	}
	if again {
		c.recovered()
	}
	if err == nil {
		return
	}
	if !errors.Is(err, sarama.ErrOffsetOutOfRange) && !errors.Is(err, sarama.ErrNotLeaderForPartition) {
		c.report(fmt.Errorf("read %s/%d: %w", h.part.topic, h.part.partition, err))
	}
	poke(c.unread)
}
