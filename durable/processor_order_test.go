package durable

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// recorder notes what handlers are given.
type recorder struct {
	mu   sync.Mutex
	runs []noted // as handlers start
}

type noted struct {
	at       time.Time
	position string
}

func (r *recorder) note(msg *message.Message) {
	d, _ := DeliveryOf(msg.Context())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, noted{time.Now(), string(d.Position)})
}

// list are the positions by the time at which their handlers started, those of one moment by their length and number:
// workers that start in one moment note that in any order.
func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.runs, func(a, b noted) int {
		return cmp.Or(a.at.Compare(b.at), len(a.position)-len(b.position), strings.Compare(a.position, b.position))
	})
	var out []string
	for _, n := range r.runs {
		out = append(out, n.position)
	}
	return out
}

func TestDeliveriesOfOneKeyRunInOrderAndNeverSideBySide(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		for seed := range uint64(10) {
			bubble(t, func(t *testing.T) { checkOrder(t, mode, rand.New(rand.NewPCG(seed, 1))) })
		}
	}
}

func checkOrder(t *testing.T, mode AckMode, rnd *rand.Rand) {
	const n = 3000
	f := newFake(mode)
	claims := []*Claim{NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)}
	for at := 0; at < n; {
		keys := make([]string, min(n-at, 1+rnd.IntN(200)))
		for i := range keys {
			keys[i] = strconv.Itoa(rnd.IntN(50))
		}
		f.feed <- deliveries(claims[rnd.IntN(2)], at, keys...)
		at += len(keys)
	}
	type lane struct {
		partition int
		key       string
	}
	var mu sync.Mutex
	busy, last, starts := map[lane]bool{}, map[lane]int{}, map[string]int{}
	p := start(f, func(msg *message.Message) error {
		d, _ := DeliveryOf(msg.Context())
		l := lane{d.Claim.Partition(), d.Key}
		at, _ := strconv.Atoi(string(d.Position))
		mu.Lock()
		starts[string(d.Position)]++
		if busy[l] || at < last[l] {
			t.Errorf("key %v: position %d started after %d, side by side: %v", l, at, last[l], busy[l])
		}
		busy[l], last[l] = true, at
		wait := time.Duration(rand.N(3)) * time.Millisecond
		fail := rand.N(20) == 0
		mu.Unlock()
		time.Sleep(wait) // virtual: lets other keys run meanwhile
		mu.Lock()
		busy[l] = false
		mu.Unlock()
		if fail {
			return RetryAfter(context.DeadlineExceeded, time.Millisecond)
		}
		return nil
	}, ProcessOptions{})
	time.Sleep(time.Minute) // virtual
	synctest.Wait()
	wantNil(t, "Process", p.end())
	if len(starts) != n {
		t.Errorf("handled %d different deliveries, want %d", len(starts), n)
	}
	if mode == AckEach && len(f.ackedPositions()) != n {
		t.Errorf("acked %d, want %d", len(f.ackedPositions()), n)
	}
}

func TestASlowKeyStallsItselfAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "slow", "a", "slow", "b", "", "a")
		free := make(chan struct{})
		var rec recorder
		p := start(f, func(msg *message.Message) error {
			rec.note(msg)
			if string(msg.Payload) == "slow" {
				<-free
			}
			return nil
		}, ProcessOptions{Concurrency: 2})
		time.Sleep(time.Second)
		got := rec.list()
		slices.Sort(got)
		wantList(t, "started", got, []string{"0", "1", "3", "4", "5"})
		wantList(t, "acked while the first runs", f.ackedPositions(), nil)
		close(free)
		time.Sleep(time.Second)
		if got := f.ackedPositions(); len(got) == 0 || got[len(got)-1] != "5" {
			t.Errorf("acked: got %v, want 5 at the end", got)
		}
		wantNil(t, "Process", p.end())
	})
}

func TestHeldEventsStayWithinTheirBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		keys := make([]string, 100)
		for i := range keys {
			keys[i] = strconv.Itoa(i)
		}
		f.feed <- deliveries(c, 0, keys...)
		free := make(chan struct{})
		p := start(f, func(msg *message.Message) error {
			if string(msg.Payload) == "0" {
				<-free
			}
			return nil
		}, ProcessOptions{MaxInFlight: 10})
		time.Sleep(time.Second)
		if n, _ := f.fetches(); n != 10 {
			t.Errorf("fetched %d with MaxInFlight 10 and the first unfinished", n)
		}
		close(free)
		time.Sleep(time.Second)
		if n, _ := f.fetches(); n != 100 {
			t.Errorf("fetched %d, want all 100", n)
		}
		wantNil(t, "Process", p.end())
	})
}

func TestHeldBytesStayWithinTheirBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const size, bound = 1000, 10_500
		f := newFake(AckEach)
		c := NewClaim(context.Background(), "t", 0, 1)
		for i := range 50 {
			ds := deliveries(c, i, "")
			ds[0].Message.UUID = ""
			ds[0].Message.Payload = make([]byte, size)
			f.feed <- ds
		}
		free := make(chan struct{})
		p := start(f, func(*message.Message) error { <-free; return nil }, ProcessOptions{MaxInFlightBytes: bound})
		time.Sleep(time.Second)
		if _, b := f.fetches(); b > bound+size {
			t.Errorf("fetched %d bytes, want at most one message over %d", b, bound)
		}
		close(free)
		time.Sleep(time.Second)
		if n, _ := f.fetches(); n != 50 {
			t.Errorf("fetched %d, want all 50", n)
		}
		wantNil(t, "Process", p.end())
	})
}

func TestAckThroughNeverPassesAnUnfinishedDelivery(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) { checkPrefix(t, rand.New(rand.NewPCG(seed, 2))) })
	}
}

func checkPrefix(t *testing.T, rnd *rand.Rand) {
	const n = 500
	f := newFake(AckThrough)
	c := NewClaim(context.Background(), "t", 0, 1)
	keys := make([]string, n)
	waits := make([]time.Duration, n)
	for i := range keys {
		keys[i] = strconv.Itoa(rnd.IntN(n))
		waits[i] = time.Duration(rnd.IntN(40)) * time.Millisecond
	}
	var mu sync.Mutex
	finished := make([]bool, n)
	prefix := -1
	f.ack = func(ds []Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			at, _ := strconv.Atoi(string(d.Position))
			if i := slices.Index(finished[:at+1], false); i >= 0 {
				t.Errorf("acked through %d while %d is unfinished", at, i)
			}
			if at <= prefix {
				t.Errorf("acked through %d after %d", at, prefix)
			}
			prefix = at
		}
		return nil
	}
	f.feed <- deliveries(c, 0, keys...)
	p := start(f, func(msg *message.Message) error {
		at, _ := strconv.Atoi(msg.UUID)
		time.Sleep(waits[at]) // virtual
		mu.Lock()
		defer mu.Unlock()
		finished[at] = true
		return nil
	}, ProcessOptions{AckBatch: 1 + rnd.IntN(50), Concurrency: 1 + rnd.IntN(30)})
	stopAfter := time.Duration(rnd.IntN(2000)) * time.Millisecond
	time.Sleep(stopAfter) // virtual; in the middle of it for most seeds
	wantNil(t, "Process", p.end())
	want := slices.Index(finished, false) - 1
	if want < -1 {
		want = n - 1
	}
	if prefix != want {
		t.Errorf("acked through %d, want the completed prefix %d", prefix, want)
	}
	if got := len(f.releasedPositions()) + prefix + 1; got != n {
		t.Errorf("%d acked or released, want %d", got, n)
	}
}
