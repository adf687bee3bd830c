package watermilltests

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	peers "github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// Watermill's own middleware runs under durable.Process, alone and inside of our policies: what fails is tried again, what
// panics is an error, what fails for good is poisoned, and the rest is handled once, in the order of its key.
func TestProcessTakesTheMiddlewareOfWatermill(t *testing.T) {
	for name, open := range backends() {
		t.Run(name, func(t *testing.T) { watermillsPolicies(t, open(t)) })
	}
}

func watermillsPolicies(t *testing.T, b durable.Backend) {
	const keys, each = 10, 20
	in, poisoned := testenv.Name(t, "in"), testenv.Name(t, "poison")
	pub, sub := facades(t, b, "none")
	for _, topic := range []string{in, poisoned} {
		if err := sub.(message.SubscribeInitializer).SubscribeInitialize(topic); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys * each {
		msg, err := durable.Event{Type: "made", SourceType: "thing", SourceID: strconv.Itoa(i % keys), Data: []byte(strconv.Itoa(i))}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Publish(in, msg); err != nil {
			t.Fatal(err)
		}
	}
	poison, err := peers.PoisonQueueWithFilter(pub, poisoned, func(err error) bool { return errors.Is(err, errForGood) })
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{tries: map[string]int{}}
	chain, err := middleware.NewChain(
		&middleware.Poison{Backend: b, Logger: slog.New(slog.DiscardHandler)}, middleware.Retry{Initial: time.Millisecond, Max: time.Millisecond},
		middleware.Wrap(poison), middleware.Wrap(peers.Retry{MaxRetries: 2, InitialInterval: time.Millisecond}.Middleware),
		middleware.Wrap(peers.Timeout(time.Minute)), middleware.Wrap(peers.CorrelationID), middleware.Wrap(peers.Recoverer),
	)
	if err != nil {
		t.Fatal(err)
	}
	monitor := new(durable.Monitor)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- durable.Process(ctx, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(in)},
			chain.Handler(w.handle), durable.ProcessOptions{Monitor: monitor, Logger: slog.New(slog.DiscardHandler)})
	}()
	testenv.Await(t, soon, func() bool { return monitor.Stats().Total().Acked == keys*each }, "all is acknowledged")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
	if got := collect(t, b, poisoned, 1); !slices.Equal(got, []int{13}) {
		t.Errorf("poisoned %v, want [13]", got)
	}
	w.check(t, keys, keys*each-1)
}

// worker fails now and then, and keeps what it has handled.
type worker struct {
	mu      sync.Mutex
	tries   map[string]int
	handled []int
}

func (w *worker) handle(msg *message.Message) ([]*message.Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(msg.Payload)
	w.tries[text]++
	switch {
	case text == "13":
		return nil, errForGood
	case text == "17" && w.tries[text] == 1:
		panic("once")
	case text == "23" && w.tries[text] < 6: // more than Watermill's Retry tries in place: ours goes on
		return nil, errors.New("fails for a while")
	}
	if _, ok := msg.Context().Deadline(); !ok {
		return nil, errors.New("there is no deadline")
	}
	n, err := strconv.Atoi(text)
	w.handled = append(w.handled, n)
	return nil, err
}

func (w *worker) check(t *testing.T, keys, want int) {
	t.Helper()
	last := map[int]int{}
	for _, n := range w.handled {
		if before, ok := last[n%keys]; ok && n <= before {
			t.Errorf("key %d: %d came after %d", n%keys, n, before)
		}
		last[n%keys] = n
	}
	if slices.Sort(w.handled); len(slices.Compact(w.handled)) != want || len(w.handled) != want {
		t.Errorf("handled %d, want %d, each once", len(w.handled), want)
	}
	if w.tries["13"] != 3 || w.tries["17"] != 2 || w.tries["23"] != 6 {
		t.Errorf("tried 13 %d times, 17 %d times, 23 %d times, want 3, 2 and 6", w.tries["13"], w.tries["17"], w.tries["23"])
	}
}
