package adapters_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// TestWhatFollowsAPoisonedEventIsWhatTheFileSays has the first of three events of one key fail for good.
func TestWhatFollowsAPoisonedEventIsWhatTheFileSays(t *testing.T) {
	for _, c := range []struct {
		after   string
		handled []string
		stops   bool
	}{
		{"", []string{"1", "2", "3", "other"}, false},
		{"after: continue", []string{"1", "2", "3", "other"}, false},
		{"after: park_key", []string{"1", "other"}, false},
		{"after: stop", []string{"1"}, true},
	} {
		t.Run(c.after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"publish: { topic: orders }\npoison: { "+c.after+" }\n")
				for _, id := range []string{"1", "2", "3", "other"} {
					e := durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "42"}
					if id == "other" {
						e.SourceID = id
					}
					if _, err := s.Publisher.Publish(t.Context(), e); err != nil {
						t.Fatal(err)
					}
				}
				h := &handling{begin: time.Now()}
				run := consume(s, "billing", func(_ context.Context, e durable.Event) error {
					h.start(e.ID)()
					if e.ID == "1" {
						return middleware.Permanent(errHandler)
					}
					return nil
				})
				time.Sleep(time.Minute)
				run.stop()
				err := <-run.done
				if f := (*middleware.Failure)(nil); c.stops != errors.As(err, &f) || !c.stops && err != nil {
					t.Errorf("Process: %v, want a failure: %t", err, c.stops)
				}
				ids, _ := h.sorted()
				if c.stops { // another key may have gone on until the write was confirmed
					ids = slices.DeleteFunc(ids, func(id string) bool { return id == "other" })
				}
				if !slices.Equal(ids, c.handled) {
					t.Errorf("handled %v, want %v", ids, c.handled)
				}
				if p := poisonIn(t, s, "orders.poison"); len(p) != 1 || p[0].ID != "1" {
					t.Errorf("poisoned %+v, want the first", p)
				}
			})
		})
	}
}

// TestTheFilePausesAHandlerThatIsBroken has a handler that fails for ten minutes.
func TestTheFilePausesAHandlerThatIsBroken(t *testing.T) {
	for _, c := range []struct {
		section     string
		poisoned    int
		least, most int // attempts in the ten minutes
	}{
		{"poison: {}", 20, 20, 20},
		{"poison: { pause_after: 3 }", 3, 3 + 90, 3 + 120}, // a probe every 5 s and a little
		{"poison: { pause_after: 5, probe_every: 2m }", 5, 5 + 3, 5 + 5},
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"publish: { topic: orders }\n"+c.section+"\n")
				for range 5 {
					publishOrders(t, s, "1", "2", "3", "4")
				}
				h, broken := &handling{begin: time.Now()}, 0
				run := consume(s, "billing", func(_ context.Context, e durable.Event) error {
					h.start(e.ID)()
					if time.Since(h.begin) < 10*time.Minute {
						broken++
						return middleware.Permanent(errHandler)
					}
					return nil
				})
				time.Sleep(5 * time.Minute)
				err := s.Health(t.Context())
				if paused := c.poisoned < 20; paused != (err != nil && strings.Contains(err.Error(), "paused")) {
					t.Errorf("health: %v, want a pause: %t", err, paused)
				}
				time.Sleep(15 * time.Minute)
				run.end(t)
				if p := poisonIn(t, s, "orders.poison"); len(p) != c.poisoned || broken < c.least || broken > c.most {
					t.Errorf("%d poisoned in %d attempts, want %d in %d to %d", len(p), broken, c.poisoned, c.least, c.most)
				}
				if lag, err := s.Durable.(durable.LagReporter).Lag(t.Context(), "billing", "orders"); err != nil || lag[0].Lag+lag[0].Pending != 0 {
					t.Errorf("lag %+v, %v, want everything handled", lag, err)
				}
			})
		})
	}
}

func TestTheFileNamesTheTopicOfPoison(t *testing.T) {
	for section, topic := range map[string]string{"poison: {}": "orders.poison", "poison: { topic: lost }": "lost"} {
		synctest.Test(t, func(t *testing.T) {
			s := opened(t, oneByOne+"publish: { topic: orders }\n"+section+"\n")
			publishOrders(t, s, "1")
			run := consume(s, "billing", func(context.Context, durable.Event) error { return errHandler })
			time.Sleep(time.Minute)
			run.end(t)
			if p := poisonIn(t, s, topic); len(p) != 1 || p[0].Origin != "orders" || p[0].Group != "billing" {
				t.Errorf("%s: %q holds %+v, want the event", section, topic, p)
			}
		})
	}
}

// stuck is a backend whose poison topics answer nothing.
type stuck struct {
	durable.Backend
	writes atomic.Int64
}

func (b *stuck) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if !strings.HasSuffix(topic, ".poison") {
		return b.Backend.Append(ctx, topic, msgs...)
	}
	b.writes.Add(1)
	<-ctx.Done()
	return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.Unknown, ctx.Err())
}

func TestTheFileBoundsAWriteOfPoison(t *testing.T) {
	for section, want := range map[string]int64{"poison: {}": 1, "poison: { write_timeout: 2s }": 2} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, openers := new(stuck), adapters.All()
				openers.Durable["stuck"] = dual.DurableOf(struct{}{}, func(context.Context, struct{}, dual.Deps) (durable.Backend, error) {
					inner, err := memory.New(memory.Config{})
					b.Backend = inner
					return b, err
				})
				cfg, err := dual.Parse("f.yaml", []byte("durable: { backend: stuck }\n"+section+"\n"))
				if err != nil {
					t.Fatal(err)
				}
				s, err := dual.Open(t.Context(), cfg, openers, func(o *dual.Options) { o.Logger = silent })
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close(context.Background()) })
				publishOrders(t, s, "1")
				run := consume(s, "billing", func(context.Context, durable.Event) error { return errHandler })
				time.Sleep(5 * time.Second)
				if n := b.writes.Load(); want == 1 && n != 1 || want > 1 && n < want {
					t.Errorf("%d writes were begun in 5s, want %d", n, want)
				}
				run.end(t)
			})
		})
	}
}
