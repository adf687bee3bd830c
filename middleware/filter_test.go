package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// typed is an event of a type, with the type as its id too.
func typed(t testing.TB, kind string) *message.Message {
	t.Helper()
	msg, err := durable.Event{ID: kind, Type: kind, SourceType: "order", SourceID: "42"}.Message("42")
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestFilterPassesByTypePatternOrFunctionAndAcknowledgesTheRest(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic)
		for _, kind := range []string{"order.created", "order.created.v2", "order.paid", "invoice.paid", "order.closed"} {
			appendAll(t, b, topic, typed(t, kind))
		}
		for name, c := range map[string]struct {
			filter *middleware.Filter
			want   []string
		}{
			"exact":    {&middleware.Filter{Types: []string{"order.created", "order.closed"}}, []string{"order.created", "order.closed"}},
			"pattern":  {&middleware.Filter{Patterns: []string{"*.paid", "order.created.*"}}, []string{"order.created.v2", "order.paid", "invoice.paid"}},
			"function": {&middleware.Filter{Match: func(m *message.Message) bool { return strings.HasPrefix(m.UUID, "invoice") }}, []string{"invoice.paid"}},
			"any":      {&middleware.Filter{Types: []string{"order.paid"}, Patterns: []string{"invoice.*"}}, []string{"order.paid", "invoice.paid"}},
		} {
			t.Run(name, func(t *testing.T) {
				var seen log[string]
				h := c.filter.Middleware(func(msg *message.Message) ([]*message.Message, error) {
					seen.add(msg.Metadata[durable.MetaID])
					return nil, nil
				})
				group := testenv.Name(t, "g")
				run := process(b, group, h, topic)
				testenv.Await(t, time.Minute, func() bool {
					return len(seen.list()) >= len(c.want) && c.filter.Filtered() >= int64(5-len(c.want))
				}, "everything is handled or filtered")
				run.end(t)
				if got := seen.list(); !slices.Equal(got, c.want) || c.filter.Filtered() != int64(5-len(c.want)) {
					t.Errorf("handled %v and filtered %d, want %v", got, c.filter.Filtered(), c.want)
				}
				lags, err := b.(durable.LagReporter).Lag(t.Context(), group, topic)
				for _, l := range lags {
					if l.Lag != 0 || l.Pending != 0 {
						t.Errorf("got %+v, want all acknowledged", l)
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestWhatCannotBeDecodedPassesEveryFilter(t *testing.T) {
	b := &garbled{Backend: newMemory(t, memory.Config{})}
	appendAll(t, b, "orders", typed(t, "order.created"))
	f := &middleware.Filter{Types: []string{"other"}}
	chain, err := middleware.Stack{Filter: f, Poison: poisoning(b)}.Chain()
	if err != nil {
		t.Fatal(err)
	}
	run := process(b, "g", chain.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil }), "orders")
	testenv.Await(t, 30*time.Second, func() bool { return len(replayed(t, b, "orders.poison")) == 1 }, "it is kept")
	run.end(t)
	if n := f.Filtered(); n != 0 {
		t.Errorf("got %d filtered, want none", n)
	}
}

func TestAFilteredBatchKeepsTheResultsOfTheOthers(t *testing.T) {
	f := &middleware.Filter{Patterns: []string{"order.*"}}
	batch := func(kinds ...string) []durable.Delivery {
		ds := make([]durable.Delivery, len(kinds))
		for i, kind := range kinds {
			ds[i] = durable.Delivery{Message: typed(t, kind)}
		}
		return ds
	}
	var seen log[string]
	h := f.Batch(seenIDs(&seen, func(id string) bool { return id == "order.bad" }))
	errs := h(t.Context(), batch("x", "order.good", "y", "order.bad", "z"))
	if got := seen.list(); !slices.Equal(got, []string{"order.good", "order.bad"}) || len(errs) != 5 ||
		!errors.Is(errs[3], errHandler) || errors.Join(errs[0], errs[1], errs[2], errs[4]) != nil {
		t.Errorf("handled %v with %v, want the error of order.bad alone", got, errs)
	}
	if errs := h(t.Context(), batch("x", "y")); errors.Join(errs...) != nil || len(seen.list()) != 2 || f.Filtered() != 5 {
		t.Errorf("nothing passes: got %v, %d filtered, want no error and 5", errs, f.Filtered())
	}
	wrong := f.Batch(func(context.Context, []durable.Delivery) []error { return make([]error, 2) })
	if errs := wrong(t.Context(), batch("x", "order.good")); len(errs) != 2 || errs[0] == nil || errs[1] == nil {
		t.Errorf("a handler with too many errors: got %v, want a failure of all", errs)
	}
}

func TestAFilterThatNothingPassesIsRefused(t *testing.T) {
	for want, f := range map[string]*middleware.Filter{
		"Filter":             {},
		"Filter.Types[1]":    {Types: []string{"a", ""}},
		"Filter.Patterns[0]": {Patterns: []string{""}},
	} {
		if err := f.Validate(); !errors.Is(err, durable.ErrInvalid) || !strings.Contains(fmt.Sprint(err), want+" ") {
			t.Errorf("got %v, want an error that names %s", err, want)
		}
		if errs := f.Batch(nil)(t.Context(), make([]durable.Delivery, 1)); durable.VerbOf(errs[0]) != durable.VerbStop {
			t.Errorf("%s: got %v, want the end of Process", want, errs)
		}
	}
	b := newMemory(t, memory.Config{})
	appendAll(t, b, "orders", typed(t, "order.created"))
	h := (&middleware.Filter{}).Middleware(func(*message.Message) ([]*message.Message, error) {
		t.Error("the handler ran")
		return nil, nil
	})
	err := durable.Process(t.Context(), b, durable.Group{Name: "g", Topics: durable.Topics("orders")}, plain(h), durable.ProcessOptions{Logger: silent})
	if !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
