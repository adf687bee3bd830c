package durable

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ackLog notes when how much was acknowledged.
type ackLog struct {
	mu    sync.Mutex
	begin time.Time
	calls []string
}

// watch has f note every Ack: the number of deliveries under AckEach, the last position under AckThrough.
func (l *ackLog) watch(f *fake) {
	l.begin = time.Now()
	f.ack = func(ds []Delivery) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		what := strconv.Itoa(len(ds))
		if f.mode == AckThrough {
			what = string(ds[len(ds)-1].Position)
		}
		l.calls = append(l.calls, fmt.Sprintf("%s at %s", what, time.Since(l.begin)))
		return nil
	}
}

func (l *ackLog) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.calls...)
}

// slowFirst is a handler for which one key takes an hour, so that the engine is never idle, and the others no time.
func slowFirst(msg *message.Message) error {
	if string(msg.Payload) == "slow" {
		select {
		case <-time.After(time.Hour):
		case <-msg.Context().Done():
		}
	}
	return nil
}

func TestAcknowledgementsAreBatchedByCountAndTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		var log ackLog
		log.watch(f)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "slow")
		p := start(f, slowFirst, ProcessOptions{AckBatch: 4, AckInterval: time.Second, MaxInFlight: 64, Concurrency: 2})
		for i := range 10 { // one every 100 ms
			time.Sleep(100 * time.Millisecond)
			f.feed <- deliveries(c, 1+i, "k")
		}
		time.Sleep(time.Minute)
		// The fourth and the eighth complete a batch; the last two wait for a second from the ninth on.
		wantList(t, "acknowledged", log.list(), []string{"4 at 400ms", "4 at 800ms", "2 at 1.9s"})
		wantNil(t, "Process", p.end())
	})
}

func TestAcknowledgementsAreFlushedAtOnceWhenAClaimDrainsAndAtShutdown(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			f := newFake(mode)
			var log ackLog
			log.watch(f)
			going, staying := NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)
			f.feed <- append(deliveries(staying, 0, "ok", "slow"), deliveries(going, 10, "a", "b")...)
			p := start(f, slowFirst, ProcessOptions{AckInterval: time.Minute, DrainTimeout: time.Second})
			time.Sleep(time.Second)
			wantList(t, "acknowledged before the drain", log.list(), nil)
			going.Drain()
			time.Sleep(time.Second)
			if got := log.list(); len(got) != 1 {
				t.Errorf("mode %d, by the drain: got %v, want one call at once", mode, got)
			}
			f.feed <- deliveries(staying, 2, "ok")
			time.Sleep(time.Second)
			begin := time.Now()
			wantNil(t, "Process", p.end())
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("mode %d: the end took %s, want no wait for AckInterval", mode, took)
			}
			// 1 returns when its context ends, and completes what waited behind it.
			want := map[AckMode][]string{AckEach: {"0", "1", "10", "11", "2"}, AckThrough: {"0", "11", "2"}}[mode]
			wantList(t, "acknowledged", sorted(f.ackedPositions()), want)
		})
	}
}
