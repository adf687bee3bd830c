package durabletest

import (
	"context"
	"errors"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
)

func closeChecks() []check {
	return []check{
		{Name: "Close/EveryMethodThenReturnsErrClosed", Run: closeMethods},
		{Name: "Close/IsBoundedAndUnblocksFetch", Needs: groups, Run: closeUnblocks},
		{Name: "Close/LeavesNoGoroutine", Alone: true, Run: closeLeaks},
	}
}

func closeMethods(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	for range 2 {
		if err := e.Within("Close", b.Close); err != nil {
			e.Errorf("Close: got %v, want nil", err)
		}
	}
	err := e.Within("Append after Close", func(ctx context.Context) error {
		_, err := b.Append(ctx, topic, messages("m", 1, 1)...)
		return err
	})
	if !errors.Is(err, durable.ErrClosed) {
		e.Errorf("Append after Close: got %v, want ErrClosed", err)
	}
	if e.Caps.Groups {
		err := e.Within("Consume after Close", func(ctx context.Context) error {
			_, err := b.Consume(ctx, e.group(topic))
			return err
		})
		if !errors.Is(err, durable.ErrClosed) {
			e.Errorf("Consume after Close: got %v, want ErrClosed", err)
		}
	}
	if !e.Caps.Replay {
		return
	}
	err = e.Within("Replay after Close", func(ctx context.Context) error {
		for _, err := range b.Replay(ctx, topic, durable.Range{}) {
			return err
		}
		return nil
	})
	if !errors.Is(err, durable.ErrClosed) {
		e.Errorf("Replay after Close: got %v, want ErrClosed", err)
	}
}

func closeUnblocks(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	c := e.join(b, e.group(topic))
	ended := make(chan error, 1) // the result of the one Fetch
	go func() {
		_, err := c.Fetch(e.Ctx, 1)
		ended <- err
	}()
	if err := e.Within("Close", b.Close); err != nil {
		e.Errorf("Close: got %v, want nil", err)
	}
	ctx, cancel := e.Soon()
	defer cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, durable.ErrClosed) {
			e.Errorf("Fetch: got %v, want ErrClosed", err)
		}
	case <-ctx.Done():
		e.Errorf("Fetch still blocks after Close")
	}
}

func closeLeaks(e *env) {
	before := goleak.IgnoreCurrent()
	topic := e.NewTopic(e.TB, 1)
	b := e.New(e.TB)
	e.append(b, topic, messages("m", 3, 1)...)
	if e.Caps.Groups {
		c := e.join(b, e.group(topic))
		e.ack(c, e.collect(c, 3))
	}
	if err := e.Within("Close", b.Close); err != nil {
		e.Errorf("Close: got %v, want nil", err)
	}
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
