package durable

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// logged collects the text of a log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestThePanicsOfADeliveryAreLoggedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b")
		var log logged
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		wantNil(t, "Process", Process(ctx, f, Group{Name: "g", Topics: Topics("t")}, func(*message.Message) error {
			panic("broken")
		}, ProcessOptions{Logger: log.logger(), Backoff: func(int, error) time.Duration { return time.Second }}))
		if n := log.count("stack="); n != 2 {
			t.Errorf("%d stacks were logged, want one for each of 2 deliveries", n)
		}
	})
}

func TestABatchThatFailsIsLoggedOnce(t *testing.T) {
	for what, handler := range map[string]BatchHandler{
		"errors": func(_ context.Context, ds []Delivery) []error {
			errs := make([]error, len(ds))
			for i := range errs {
				errs[i] = errHandler
			}
			return errs
		},
		"panic": func(context.Context, []Delivery) []error { panic("broken") },
	} {
		bubble(t, func(t *testing.T) {
			f := newFake(AckEach)
			f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b", "c", "d", "e")
			var log logged
			o := BatchOptions{Size: 5}
			o.Logger, o.Backoff = log.logger(), func(int, error) time.Duration { return time.Hour }
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			wantNil(t, "Process", ProcessBatch(ctx, f, Group{Name: "g", Topics: Topics("t")}, handler, o))
			if n := log.count("trying again"); n != 1 {
				t.Errorf("%s: the failure of 5 deliveries in one batch was logged %d times, want once", what, n)
			}
		})
	}
}
