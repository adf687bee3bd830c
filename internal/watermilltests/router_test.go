package watermilltests

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// A plain Router with Watermill's middleware runs unchanged: what fails comes again, what fails for good is poisoned, and
// the order of each key is kept.
func TestAPlainRouterRunsUnchanged(t *testing.T) {
	for name, open := range backends() {
		t.Run(name, func(t *testing.T) { plainRouter(t, open(t)) })
	}
}

func plainRouter(t *testing.T, backend durable.Backend) {
	const keys, each = 10, 50
	in, produced, poisonTopic := testenv.Name(t, "in"), testenv.Name(t, "out"), testenv.Name(t, "poison")
	pub, sub := facades(t, backend, "router")
	for _, topic := range []string{in, produced, poisonTopic} {
		if err := sub.(message.SubscribeInitializer).SubscribeInitialize(topic); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys * each {
		msg, err := durable.Event{
			Type: "made", SourceType: "thing", SourceID: strconv.Itoa(i % keys), Data: []byte(strconv.Itoa(i)),
		}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Publish(in, msg); err != nil {
			t.Fatal(err)
		}
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	poison, err := middleware.PoisonQueueWithFilter(pub, poisonTopic, func(err error) bool { return errors.Is(err, errForGood) })
	if err != nil {
		t.Fatal(err)
	}
	router.AddMiddleware(poison, middleware.Retry{MaxRetries: 2, InitialInterval: time.Millisecond}.Middleware,
		middleware.Recoverer, middleware.CorrelationID)
	h := &handler{tries: map[string]int{}}
	router.AddHandler("copy", in, sub, produced, pub, h.handle)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.Background()) }()
	out := collect(t, backend, produced, keys*each-1)
	poisoned := collect(t, backend, poisonTopic, 1)
	if err := errors.Join(router.Close(), <-ended); err != nil {
		t.Error(err)
	}
	if len(poisoned) != 1 || poisoned[0] != 13 {
		t.Errorf("poisoned %v, want 13", poisoned)
	}
	last := map[int]int{}
	for _, n := range out {
		if before, ok := last[n%keys]; ok && n <= before {
			t.Errorf("key %d: %d came after %d", n%keys, n, before)
		}
		last[n%keys] = n
	}
	if slices.Sort(out); len(slices.Compact(out)) != keys*each-1 {
		t.Errorf("got %d, want %d", len(slices.Compact(out)), keys*each-1)
	}
}

var errForGood = errors.New("fails for good")

// handler fails now and then.
type handler struct {
	mu    sync.Mutex
	tries map[string]int
}

func (h *handler) handle(msg *message.Message) ([]*message.Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := string(msg.Payload)
	h.tries[text]++
	switch {
	case text == "13":
		return nil, errForGood
	case text == "17" && h.tries[text] == 1:
		panic("once")
	case text == "23" && h.tries[text] < 6: // more than the Router retries: it is nacked
		return nil, errors.New("fails for a while")
	}
	produced := msg.Copy()
	return []*message.Message{produced}, nil
}

// collect reads numbers from topic until there are n.
func collect(t *testing.T, b durable.Backend, topic string, n int) []int {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	var numbers []int
	handler := func(msg *message.Message) error {
		number, err := strconv.Atoi(string(msg.Payload))
		if numbers = append(numbers, number); len(numbers) == n {
			stop()
		}
		return err
	}
	group := durable.Group{Name: "collect-" + topic, Topics: durable.Topics(topic)}
	err := durable.Process(ctx, b, group, handler, durable.ProcessOptions{Concurrency: 1})
	if err != nil || len(numbers) < n {
		t.Fatalf("topic %q: got %d of %d, and error %v", topic, len(numbers), n, err)
	}
	return numbers
}
