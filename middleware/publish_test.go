package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

// picky rejects messages for good, and has outages in which it stores only a part of a batch.
type picky struct {
	durable.Backend
	rejects func(*message.Message) bool
	fails   func(call int, msg *message.Message) error // nil: stored
	calls   int
}

func (p *picky) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	p.calls++
	at := make([]durable.Position, len(msgs))
	out := &durable.BatchError{Topic: topic, Outcomes: make([]durable.Outcome, len(msgs))}
	failed := false
	for i, m := range msgs {
		o := &out.Outcomes[i]
		if p.rejects != nil && p.rejects(m) {
			o.Status, o.Err = durable.Rejected, durable.ErrTooLarge
		} else if err := p.fail(m); err != nil {
			o.Status, o.Err = durable.NotSent, err
		} else if ps, err := p.Backend.Append(ctx, topic, m); err != nil {
			o.Status, o.Err = durable.Unknown, err
		} else {
			at[i] = ps[0]
		}
		failed = failed || o.Status != durable.Stored
	}
	if failed {
		return at, out
	}
	return at, nil
}

func (p *picky) fail(m *message.Message) error {
	if p.fails == nil {
		return nil
	}
	return p.fails(p.calls, m)
}

func TestABatchIsStoredOnceAndItsPermanentFailuresAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		bad := []string{"7", "250", "499"}
		b := &picky{
			Backend: inner,
			rejects: func(m *message.Message) bool { return slices.Contains(bad, m.UUID) },
			fails: func(call int, m *message.Message) error {
				if call < 3 && len(m.UUID)%2 == call%2 {
					return durable.ErrUnavailable
				}
				return nil
			},
		}
		poison := poisoning(inner)
		p, err := dual.New(b, nil, dual.Options{Topic: "orders", Append: []func(durable.Backend) durable.Backend{
			poison.Append, middleware.Retry{}.Append,
		}})
		if err != nil {
			t.Fatal(err)
		}
		events := make([]durable.Event, 500)
		for i := range events {
			events[i] = durable.Event{ID: fmt.Sprint(i), Type: "x", SourceType: "s", SourceID: fmt.Sprint("k", i)}
		}
		receipts, err := p.Publish(t.Context(), events...)
		if err == nil || !errors.Is(err, durable.ErrTooLarge) {
			t.Errorf("got %v, want the rejections", err)
		}
		once := make(map[string]int)
		for _, id := range ids(replayed(t, inner, "orders")) {
			once[id]++
		}
		for i, r := range receipts {
			want, times := durable.Stored, 1
			if slices.Contains(bad, r.ID) {
				want, times = durable.Rejected, 0
			}
			if r.Status != want || once[r.ID] != times || r.AfterGap || (r.Position != "") != (times == 1) || r.ID != fmt.Sprint(i) {
				t.Errorf("event %d: %+v, stored %d times", i, r, once[r.ID])
			}
		}
		kept := ids(replayed(t, inner, "orders.poison"))
		slices.Sort(kept)
		if want := []string{"250", "499", "7"}; !slices.Equal(kept, want) {
			t.Errorf("poisoned %v, want %v", kept, want)
		}
	})
}

func TestOnlyWhatIsNotStoredIsSentAgainAndAGapIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		var waits []int
		b := &picky{Backend: inner, fails: func(call int, m *message.Message) error {
			if call == 1 && (m.UUID == "1" || m.UUID == "4") {
				return durable.ErrUnavailable
			}
			return nil
		}}
		wrapped := middleware.Retry{OnRetry: func(e middleware.RetryEvent) { waits = append(waits, e.Attempt) }}.Append(b)
		at, err := wrapped.Append(t.Context(), "orders",
			event(t, "1", "a"), event(t, "2", "b"), event(t, "3", "a"), event(t, "4", "c"), event(t, "5", "b"))
		var batch *durable.BatchError
		if !errors.As(err, &batch) {
			t.Fatalf("got %v, want a BatchError that tells of the gap", err)
		}
		for i, o := range batch.Outcomes {
			if o.Status != durable.Stored || o.AfterGap != (i == 2) || at[i] == "" {
				t.Errorf("event %d: %+v at %q", i+1, o, at[i])
			}
		}
		if got := ids(replayed(t, inner, "orders")); !slices.Equal(got, []string{"2", "3", "5", "1", "4"}) || !slices.Equal(waits, []int{1}) {
			t.Errorf("stored %v after waits %v", got, waits)
		}
	})
}

func TestALaterRoundInOrderIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		b := &picky{Backend: inner, fails: func(call int, m *message.Message) error {
			if call <= 3 && m.UUID != "1" {
				return durable.ErrUnavailable
			}
			return nil
		}}
		_, err := middleware.Retry{}.Append(b).Append(t.Context(), "orders", event(t, "1", "a"), event(t, "2", "a"), event(t, "3", "a"))
		if got := ids(replayed(t, inner, "orders")); err != nil || !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("got %v, stored %v", err, got)
		}
	})
}

func TestPublishingEndsWithItsAttemptsOrItsContext(t *testing.T) {
	down := func(int, *message.Message) error { return durable.ErrUnavailable }
	synctest.Test(t, func(t *testing.T) {
		b := &picky{Backend: newMemory(t, memory.Config{}), fails: down}
		_, err := middleware.Retry{MaxAttempts: 3}.Append(b).Append(t.Context(), "orders", event(t, "1", "a"))
		if !errors.Is(err, durable.ErrUnavailable) || b.calls != 3 {
			t.Errorf("got %v after %d calls, want ErrUnavailable after 3", err, b.calls)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := &picky{Backend: newMemory(t, memory.Config{}), fails: down}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		r := middleware.Retry{Backoff: func(int, error) time.Duration { return time.Hour }}
		_, err := r.Append(b).Append(ctx, "orders", event(t, "1", "a"))
		if !errors.Is(err, durable.ErrUnavailable) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %s, want ErrUnavailable after 1s", err, time.Since(begin))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		_ = inner.Close(t.Context())
		begin := time.Now()
		_, err := middleware.Retry{}.Append(inner).Append(t.Context(), "orders", event(t, "1", "a"))
		if !errors.Is(err, durable.ErrClosed) || time.Since(begin) != 0 {
			t.Errorf("got %v after %s, want ErrClosed at once", err, time.Since(begin))
		}
	})
}

func TestARejectionThatCannotBeKeptSaysSo(t *testing.T) {
	inner := newMemory(t, memory.Config{})
	down := &flaky{Backend: inner, part: "poison"}
	down.set(durable.ErrUnavailable)
	b := &picky{Backend: inner, rejects: func(*message.Message) bool { return true }}
	_, err := poisoning(down).Append(b).Append(t.Context(), "orders", event(t, "1", "a"))
	if !errors.Is(err, durable.ErrTooLarge) || !errors.Is(err, durable.ErrUnavailable) || !strings.Contains(err.Error(), "not kept") {
		t.Errorf("got %v, want both reasons", err)
	}
}

// deaf is a bus that fails a number of times.
type deaf struct {
	realtime.Backend
	errs []error
	sent [][]realtime.Notification
}

func (d *deaf) Notify(_ context.Context, ns ...realtime.Notification) error {
	if len(d.errs) > 0 {
		err := d.errs[0]
		d.errs = d.errs[1:]
		return err
	}
	d.sent = append(d.sent, ns)
	return nil
}

func TestNotificationsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := realtime.Notification{Channel: "c", ID: "1"}
		d := &deaf{errs: []error{realtime.ErrUnavailable, realtime.ErrUnavailable}}
		if err := (middleware.Retry{}).Notify(d).Notify(t.Context(), n); err != nil || len(d.sent) != 1 {
			t.Errorf("got %v, sent %v", err, d.sent)
		}
		for _, hopeless := range []error{realtime.ErrClosed, &realtime.InvalidError{}} {
			d = &deaf{errs: []error{hopeless, nil}}
			if err := (middleware.Retry{}).Notify(d).Notify(t.Context(), n); !errors.Is(err, hopeless) || len(d.errs) != 1 {
				t.Errorf("%v: got %v, %d left", hopeless, err, len(d.errs))
			}
		}
	})
}

func TestWrappersKeepTheAbilitiesOfTheBackend(t *testing.T) {
	b := middleware.Retry{}.Append(newMemory(t, memory.Config{}))
	admin, ok := b.(durable.Administrator)
	if !ok || admin.CreateTopic(t.Context(), durable.TopicSpec{Name: "orders", Partitions: 3}) != nil {
		t.Fatal("the wrapper creates no topics")
	}
	if info, err := admin.DescribeTopic(t.Context(), "orders"); err != nil || len(info.Partitions) != 3 {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := admin.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
	bare := middleware.Retry{}.Append(struct{ durable.Backend }{b})
	if _, err := bare.(durable.LagReporter).Lag(t.Context(), "g", "orders"); !errors.Is(err, durable.ErrUnsupported) {
		t.Errorf("lag of a backend that reports none: %v, want ErrUnsupported", err)
	}
}

// TestWhatIsDeniedIsNeitherTriedAgainNorKept has a user who may write one topic only, and one who is not let in.
func TestWhatIsDeniedIsNeitherTriedAgainNorKept(t *testing.T) {
	for _, status := range []durable.Status{durable.Rejected, durable.NotSent} {
		b := &refusing{Backend: newMemory(t, memory.Config{}), status: status}
		poison := poisoning(b.Backend)
		poison.OnPoison = func(e middleware.PoisonEvent) { t.Errorf("%v: kept as poison: %v", status, e.Failure) }
		_, err := poison.Append(middleware.Retry{}.Append(b)).Append(t.Context(), "orders", event(t, "1", "a"))
		if !errors.Is(err, durable.ErrDenied) || b.calls != 1 {
			t.Errorf("%v: got %v after %d calls, want ErrDenied after one", status, err, b.calls)
		}
	}
}

// refusing denies every append.
type refusing struct {
	durable.Backend
	status durable.Status
	calls  int
}

func (r *refusing) Append(_ context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	r.calls++
	return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), r.status, fmt.Errorf("NOPERM: %w", durable.ErrDenied))
}
