package redisdedupe_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

const (
	crashAddr   = "DEDUPE_TEST_ADDR"
	crashPrefix = "DEDUPE_TEST_PREFIX"
	crashLease  = 5 * time.Second // is kept where a machine stands still for a while, as it is extended in time
)

// reserveAndHang is another process: it begins to handle an event and never ends.
func reserveAndHang() {
	cfg := at(os.Getenv(crashAddr))
	cfg.Prefix = os.Getenv(crashPrefix)
	s, err := redisdedupe.Open(context.Background(), cfg)
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	d := &middleware.Dedupe{Group: "g", Store: s, Lease: crashLease}
	_, _ = d.Middleware(func(*message.Message) ([]*message.Message, error) {
		fmt.Println("handling")
		select {}
	})(message.NewMessage("event-1", nil))
}

func TestACrashBetweenReservationAndConfirmationIsHandledAgain(t *testing.T) {
	t.Parallel()
	cfg := at(testenv.Redis(t))
	cfg.Prefix = testenv.Name(t, "dedupe:")
	p := testenv.Reexec(t, "reserve", crashAddr+"="+cfg.Addr, crashPrefix+"="+cfg.Prefix)
	p.AwaitLine(time.Minute, "handling")

	var runs atomic.Int64
	d := &middleware.Dedupe{
		Group: "g", Store: open(t, cfg), Lease: crashLease, BusyPause: 20 * time.Millisecond, BusyWait: time.Minute,
	}
	h := d.Middleware(func(*message.Message) ([]*message.Message, error) { runs.Add(1); return nil, nil })
	done := make(chan error, 1)
	go func() { _, err := h(message.NewMessage("event-1", nil)); done <- err }()
	testenv.Await(t, patience, func() bool { return d.Stats().Busy > 2 }, "the event is busy")
	p.Kill()
	if err := <-done; err != nil || runs.Load() != 1 {
		t.Errorf("after the crash: got %d runs and %v, want 1 and nil", runs.Load(), err)
	}
	if _, err := h(message.NewMessage("event-1", nil)); err != nil || runs.Load() != 1 {
		t.Errorf("a duplicate: got %d runs and %v, want 1 and nil", runs.Load(), err)
	}
}
