package rediskit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lookApart = 50 * time.Millisecond // between two looks at the cluster
	lookTime  = 2 * time.Second       // of one node, which may stand still, for a look
	looksTime = 2 * lookTime          // of a look, of which all nodes may stand still
)

// topology is which node of a cluster has which slot, as far as was heard. It is safe for concurrent use.
type topology struct {
	c     Config
	slots [slotCount]atomic.Uint32 // index in nodes plus 1; 0: nobody's

	doubted atomic.Bool   // look before slots are believed again
	turn    chan struct{} // capacity 1, held during a look, with looked and told
	looked  time.Time     // when the last look had ended
	told    error         // why it learnt nothing

	names   sync.Mutex
	nodes   []string // every address that was ever heard of, in the order of the numbers in slots
	current []string // of the last look, replicas among them
}

func newTopology(c Config) *topology { return &topology{c: c, turn: make(chan struct{}, 1)} }

// doubt has the next use of t look at the cluster: a node stands still, and another one may have its slots by then.
func (t *topology) doubt() { t.doubted.Store(true) }

// master is the address of the node that has slot. It looks at the cluster where that is not known, or in doubt.
func (t *topology) master(ctx context.Context, slot uint16) (string, error) {
	if t.doubted.Load() && t.doubted.Swap(false) {
		_ = t.look(ctx) // else the slots are where they were
	}
	if n := t.slots[slot].Load(); n > 0 {
		return t.name(n), nil
	}
	if err := t.look(ctx); err != nil {
		return "", err
	}
	if n := t.slots[slot].Load(); n > 0 {
		return t.name(n), nil
	}
	return "", fmt.Errorf("no node of the cluster has slot %d", slot)
}

func (t *topology) name(n uint32) string {
	t.names.Lock()
	defer t.names.Unlock()
	return t.nodes[n-1]
}

// number is that of addr in slots.
func (t *topology) number(addr string) uint32 {
	t.names.Lock()
	defer t.names.Unlock()
	at := slices.Index(t.nodes, addr)
	if at < 0 {
		t.nodes, at = append(t.nodes, addr), len(t.nodes)
	}
	return uint32(at + 1)
}

// has tells whether addr was in the cluster at the last look.
func (t *topology) has(addr string) bool {
	t.names.Lock()
	defer t.names.Unlock()
	return t.current == nil || slices.Contains(t.current, addr)
}

// redirect reads a refusal that names the node to ask instead: "MOVED slot addr" for good, "ASK slot addr" for the next
// command. An address without a host is a node where from is.
func redirect(text, from string) (addr string, slot uint16, ask, ok bool) {
	kind, rest, _ := strings.Cut(text, " ")
	if kind != "MOVED" && kind != "ASK" {
		return "", 0, false, false
	}
	number, addr, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 16)
	host, port, split := net.SplitHostPort(addr)
	if err != nil || n >= slotCount || split != nil {
		return "", 0, false, false
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(from)
	}
	return net.JoinHostPort(host, port), uint16(n), kind == "ASK", true
}

// moved notes that the node at addr has slot.
func (t *topology) moved(slot uint16, addr string) { t.slots[slot].Store(t.number(addr)) }

// look asks a node who has what. Callers at the same time share a look, and its outcome.
func (t *topology) look(ctx context.Context) error {
	asked := time.Now()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("look at the cluster: %w", ctx.Err())
	}
	defer func() { <-t.turn }()
	if t.looked.After(asked) || t.told == nil && time.Since(t.looked) < lookApart {
		return t.told
	}
	within, cancel := context.WithTimeout(ctx, looksTime)
	defer cancel()
	err := t.askAny(within)
	if err != nil && ctx.Err() != nil {
		return err // of this caller alone
	}
	t.looked, t.told = time.Now(), err
	return err
}

// askAny learns from the first node that answers.
func (t *topology) askAny(ctx context.Context) error {
	var errs []error
	for _, addr := range t.candidates() {
		ranges, err := t.ask(ctx, addr)
		if err == nil {
			t.learn(ranges)
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("look at the cluster: %w", errors.Join(errs...))
}

// candidates are the nodes to ask: those that are known in any order, and then those that the settings name.
func (t *topology) candidates() []string {
	t.names.Lock()
	out := slices.Clone(t.current)
	t.names.Unlock()
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for _, addr := range t.c.Cluster.Addrs {
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// slotRange is who has some slots: the master first, then its replicas.
type slotRange struct {
	first, last uint16
	nodes       []string
}

// ask asks the node at addr.
func (t *topology) ask(ctx context.Context, addr string) ([]slotRange, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s := &Session{dial: func(ctx context.Context) (net.Conn, error) { return t.c.dialTo(ctx, addr) }}
	defer s.Close()
	raw, err := s.Do(ctx, AppendCommand(nil, "cluster", "slots"), lookTime)
	if err != nil {
		if strings.Contains(err.Error(), notClustered) {
			return nil, errNotClustered
		}
		return nil, err
	}
	return readSlots(raw, addr)
}

// readSlots reads the reply of the node at from to CLUSTER SLOTS.
func readSlots(raw []byte, from string) ([]slotRange, error) {
	r := NewReply(raw)
	self, _, _ := net.SplitHostPort(from)
	out := make([]slotRange, r.Len())
	for i := range out {
		words := r.Len()
		out[i].first, out[i].last = uint16(r.Int()), uint16(r.Int())
		for range words - 2 {
			fields := r.Len()
			host := self
			if !r.Null() {
				if name := r.Text(); name != "" && name != "?" {
					host = strings.Clone(name)
				}
			}
			out[i].nodes = append(out[i].nodes, net.JoinHostPort(host, strconv.FormatInt(r.Int(), 10)))
			for range fields - 2 {
				r.Skip()
			}
			if r.Bad() {
				return nil, ErrReply
			}
		}
	}
	if r.Bad() || len(out) == 0 {
		return nil, errors.New("the node knows of no slots that anybody has")
	}
	return out, nil
}

// learn takes over what a node told. Slots that nobody has stay with their last known master.
func (t *topology) learn(ranges []slotRange) {
	var current []string
	for _, r := range ranges {
		if len(r.nodes) == 0 || r.last >= slotCount {
			continue
		}
		n := t.number(r.nodes[0])
		for slot := int(r.first); slot <= int(r.last); slot++ {
			t.slots[slot].Store(n)
		}
		for _, addr := range r.nodes {
			if !slices.Contains(current, addr) {
				current = append(current, addr)
			}
		}
	}
	t.names.Lock()
	defer t.names.Unlock()
	t.current = current
}
