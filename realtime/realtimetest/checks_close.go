package realtimetest

import (
	"context"
	"errors"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/realtime"
)

func closeChecks() []check {
	return []check{
		{Name: "Close/EveryMethodThenReturnsErrClosed", Run: closeMethods},
		{Name: "Close/IsBoundedAndUnblocksNext", Run: closeUnblocks},
		{Name: "Close/OfASubscriptionEndsItAlone", Run: closeSubscription},
		{Name: "Close/LeavesNoGoroutine", Alone: true, Run: closeLeaks},
	}
}

// closed fails the test unless f returns ErrClosed in time.
func (e *env) closed(what string, f func(context.Context) error) {
	e.Helper()
	if err := e.Within(what+" after Close", f); !errors.Is(err, realtime.ErrClosed) {
		e.Errorf("%s after Close: got %v, want ErrClosed", what, err)
	}
}

func (e *env) closedSubscription(s realtime.Subscription, channel string) {
	e.Helper()
	e.closed("Next", func(ctx context.Context) error {
		_, err := s.Next(ctx)
		return err
	})
	e.closed("Add", func(ctx context.Context) error { return s.Add(ctx, channel) })
	e.closed("Remove", func(ctx context.Context) error { return s.Remove(ctx, channel) })
	if err := e.Within("Close of the subscription", func(context.Context) error { return s.Close() }); err != nil {
		e.Errorf("Close of the subscription, again: got %v, want nil", err)
	}
}

func closeMethods(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	e.notify(b, channel, "left behind")
	for range 2 {
		if err := e.Within("Close", b.Close); err != nil {
			e.Errorf("Close: got %v, want nil", err)
		}
	}
	e.closed("Notify", func(ctx context.Context) error {
		return b.Notify(ctx, realtime.Notification{Channel: channel, ID: "1"})
	})
	e.closed("Subscribe", func(ctx context.Context) error {
		_, err := b.Subscribe(ctx, channel)
		return err
	})
	e.closedSubscription(s, channel)
	if h, ok := b.(realtime.HealthChecker); ok {
		e.closed("Health", h.Health)
	}
}

func closeUnblocks(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	ended := make(chan error, 1) // the result of the one Next
	go func() {
		_, err := s.Next(e.Ctx)
		ended <- err
	}()
	if err := e.Within("Close", b.Close); err != nil {
		e.Errorf("Close: got %v, want nil", err)
	}
	err := e.Within("Next while the backend closes", func(ctx context.Context) error {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if !errors.Is(err, realtime.ErrClosed) {
		e.Errorf("Next while the backend closes: got %v, want ErrClosed", err)
	}
}

func closeSubscription(e *env) {
	b, channel := e.open(), e.channel("1")
	one, two := e.subscribe(b, channel), e.subscribe(b, channel)
	e.Do("Close of the subscription", func(context.Context) error { return one.Close() })
	e.closedSubscription(one, channel)
	e.notify(b, channel, "1")
	e.want(two, channel, "1")
}

func closeLeaks(e *env) {
	before := goleak.IgnoreCurrent()
	b, channel := e.open(), e.channel("1")
	kept, closed := e.subscribe(b, channel), e.subscribe(b, channel)
	e.notify(b, channel, "1")
	e.want(kept, channel, "1")
	e.Do("Close of the subscription", func(context.Context) error { return closed.Close() })
	e.Do("Close", b.Close)
	ctx, cancel := e.Soon()
	defer cancel()
	err := goleak.Find(before)
	for err != nil && ctx.Err() == nil { // one that is ending may stand still
		err = goleak.Find(before)
	}
	if err != nil {
		e.Errorf("after Close: %v", err)
	}
}
