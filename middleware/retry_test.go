package middleware_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// each runs f in place (as under a router) and under durable.Process, in virtual time.
func each(t *testing.T, f func(t *testing.T, run func(h message.HandlerFunc, most time.Duration) (err error, acked bool))) {
	t.Run("in place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, func(h message.HandlerFunc, most time.Duration) (error, bool) {
				ctx, cancel := context.WithTimeout(t.Context(), most)
				defer cancel()
				msg := event(t, "1", "a")
				msg.SetContext(ctx)
				_, err := h(msg)
				return err, err == nil
			})
		})
	})
	t.Run("process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, func(h message.HandlerFunc, most time.Duration) (error, bool) {
				b := newMemory(t, memory.Config{})
				appendAll(t, b, "orders", event(t, "1", "a"))
				var last error
				p := process(b, "g", func(msg *message.Message) ([]*message.Message, error) {
					out, err := h(msg)
					last = err
					return out, err
				}, "orders")
				time.Sleep(most)
				synctest.Wait()
				lags, err := b.Lag(t.Context(), "g", "orders")
				if err != nil {
					t.Fatal(err)
				}
				p.end(t)
				return last, lags[0].Lag+lags[0].Pending == 0
			})
		})
	})
}

func TestTheScheduleIsWhatTheDocumentationSays(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		begin := time.Now()
		var starts, delays []time.Duration
		r := middleware.Retry{
			MaxAttempts: 6, Initial: time.Second, Max: 5 * time.Second,
			OnRetry: func(e middleware.RetryEvent) { delays = append(delays, e.Delay) },
		}
		h := r.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			starts = append(starts, time.Since(begin))
			if len(starts) == 6 {
				return nil, nil
			}
			return nil, errHandler
		})
		err, acked := run(h, time.Minute)
		if err != nil || !acked || len(starts) != 6 || len(delays) != 5 {
			t.Fatalf("got %v, acked %v, %d attempts, %d delays; want nil, true, 6, 5", err, acked, len(starts), len(delays))
		}
		for i, most := range []time.Duration{1, 2, 4, 5, 5} {
			if gap := starts[i+1] - starts[i]; gap != delays[i] || gap > most*time.Second {
				t.Errorf("delay %d: waited %s, announced %s, want the same and at most %ds", i+1, gap, delays[i], most)
			}
		}
	})
}

func TestAnEventThatKeepsFailingEndsAsAFailure(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		var ran int
		h := middleware.Retry{MaxAttempts: 3}.Middleware(func(*message.Message) ([]*message.Message, error) {
			ran++
			if ran > 3 {
				return nil, durable.Stop(errors.New("one attempt too many"))
			}
			return nil, errHandler
		})
		var first error
		err, acked := run(func(msg *message.Message) ([]*message.Message, error) {
			if first != nil {
				return nil, middleware.Busy(first, time.Hour)
			}
			out, err := h(msg)
			if f := (*middleware.Failure)(nil); errors.As(err, &f) {
				first = err
			}
			return out, err
		}, time.Minute)
		var f *middleware.Failure
		if !errors.As(err, &f) || f.Reason != middleware.ReasonExhausted || f.Attempts != 3 || !errors.Is(err, errHandler) {
			t.Fatalf("got %#v, want an exhausted Failure after 3 attempts", err)
		}
		if acked || ran != 3 || f.Last.Before(f.First) {
			t.Errorf("acked %v, ran %d, first %s, last %s", acked, ran, f.First, f.Last)
		}
	})
}

func TestClassesEndOrKeepTheAttempts(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		ran := 0
		h := middleware.Retry{MaxAttempts: 2}.Middleware(func(*message.Message) ([]*message.Message, error) {
			ran++
			switch {
			case ran <= 10:
				return nil, middleware.Busy(errHandler, time.Second)
			case ran == 11:
				return nil, middleware.After(errHandler, 7*time.Second)
			default:
				return nil, middleware.Skip(errHandler)
			}
		})
		begin := time.Now()
		if err, acked := run(h, time.Minute); err != nil || !acked || ran != 12 {
			t.Errorf("got %v, acked %v, %d attempts; want nil, true, 12", err, acked, ran)
		}
		if took := time.Since(begin); took < 17*time.Second {
			t.Errorf("took %s of virtual time, want at least 17 s", took)
		}
	})
}

func TestPermanentErrorsAreNotTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		reason string
	}{
		"permanent":   {middleware.Permanent(errHandler), middleware.ReasonPermanent},
		"undecodable": {durable.Undecodable(errHandler), middleware.ReasonUndecodable},
	} {
		ran := 0
		h := middleware.Retry{}.Middleware(func(*message.Message) ([]*message.Message, error) { ran++; return nil, c.err })
		_, err := h(event(t, "1", "a"))
		var f *middleware.Failure
		if !errors.As(err, &f) || f.Reason != c.reason || f.Attempts != 1 || ran != 1 {
			t.Errorf("%s: got %v after %d attempts, want a Failure for %q after 1", name, err, ran, c.reason)
		}
	}
}

func TestVerbsOfTheHandlerPass(t *testing.T) {
	for _, err := range []error{durable.Park(errHandler), durable.Stop(errHandler)} {
		ran := 0
		h := middleware.Retry{}.Middleware(func(*message.Message) ([]*message.Message, error) { ran++; return nil, err })
		if _, got := h(event(t, "1", "a")); durable.VerbOf(got) != durable.VerbOf(err) || ran != 1 {
			t.Errorf("%s: got %v after %d attempts", durable.VerbOf(err), got, ran)
		}
	}
}

func TestMaxElapsedEndsTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, ran := time.Now(), 0
		r := middleware.Retry{
			MaxAttempts: 100, MaxElapsed: 10 * time.Second,
			Backoff: func(int, error) time.Duration { return 3 * time.Second },
		}
		_, err := r.Middleware(func(*message.Message) ([]*message.Message, error) { ran++; return nil, errHandler })(event(t, "1", "a"))
		if took := time.Since(begin); took != 9*time.Second || ran != 4 || !errors.Is(err, errHandler) {
			t.Errorf("got %v after %s and %d attempts, want 9s and 4", err, took, ran)
		}
	})
}

func TestEveryAttemptHasTheContextOfTheFirst(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		ran := 0
		h := middleware.Retry{}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			if msg.Context().Err() != nil {
				t.Errorf("attempt %d began with a context that had ended", ran+1)
			}
			if ran++; ran == 4 {
				return nil, nil
			}
			ctx, cancel := context.WithCancel(msg.Context())
			msg.SetContext(ctx)
			cancel()
			return nil, errHandler
		})
		if err, acked := run(h, time.Minute); err != nil || !acked {
			t.Errorf("got %v, acked %v", err, acked)
		}
	})
}

func TestTheEndOfTheContextEndsABackoffAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		msg := event(t, "1", "a")
		msg.SetContext(ctx)
		begin := time.Now()
		time.AfterFunc(time.Second, func() { cancel(errors.New("shutdown")) })
		r := middleware.Retry{Backoff: func(int, error) time.Duration { return time.Hour }}
		_, err := r.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, errHandler })(msg)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("returned after %s, want 1s", took)
		}
		if err == nil || middleware.ClassOf(err) != middleware.ClassBusy || !strings.Contains(err.Error(), "shutdown") {
			t.Errorf("got %v, want a busy error with the cause", err)
		}
	})
}

func TestAShutdownDuringABackoffLeavesTheEventUnacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"))
		r := middleware.Retry{Backoff: func(int, error) time.Duration { return time.Hour }}
		p := process(b, "g", r.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, errHandler }), "orders")
		time.Sleep(time.Minute)
		begin := time.Now()
		p.end(t)
		if took := time.Since(begin); took != 0 {
			t.Errorf("the end took %s of virtual time, want none", took)
		}
		var seen log[string]
		p = process(b, "g", func(msg *message.Message) ([]*message.Message, error) {
			seen.add(msg.Metadata[durable.MetaID])
			return nil, nil
		}, "orders")
		synctest.Wait()
		p.end(t)
		if got := seen.list(); !slices.Equal(got, []string{"1"}) {
			t.Errorf("handled after the restart: %v, want [1]", got)
		}
	})
}
