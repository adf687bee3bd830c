package adapterkit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// closer counts its Close, which fails as often as it is told.
type closer struct{ closed, failures int }

func (c *closer) Close(context.Context) error {
	c.closed++
	if c.closed <= c.failures {
		return errors.New("not yet")
	}
	return nil
}

func TestCloseOfAGateWaitsForTheCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, kept := adapterkit.NewGate(), &closer{}
		if err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.Keep(kept)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(short); !errors.Is(err, context.DeadlineExceeded) || kept.closed != 0 {
			t.Errorf("got %v with a call in flight and %d closed, want the end of the context", err, kept.closed)
		}
		if err := g.Enter(t.Context()); !errors.Is(err, durable.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		select {
		case <-g.Done():
		default:
			t.Error("Done is open")
		}
		closed := make(chan error)
		go func() { closed <- g.Close(t.Context()) }()
		synctest.Wait()
		g.Leave()
		if err := <-closed; err != nil || kept.closed != 1 {
			t.Errorf("got %v and %d closed, want what is kept closed", err, kept.closed)
		}
	})
}

func TestAGateClosesAgainWhatDidNotClose(t *testing.T) {
	g, stubborn, forgotten := adapterkit.NewGate(), &closer{failures: 1}, &closer{}
	g.Keep(stubborn)
	g.Keep(forgotten)
	g.Forget(forgotten)
	if err := g.Close(t.Context()); err == nil {
		t.Error("got no error of what did not close")
	}
	for range 2 {
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if stubborn.closed != 2 || forgotten.closed != 0 {
		t.Errorf("got %d and %d closed, want 2 and 0", stubborn.closed, forgotten.closed)
	}
}

func TestAppendOfAGateTellsWhatBecameOfEachMessage(t *testing.T) {
	ok, bad := message.NewMessage("1", nil), message.NewMessage("2", nil)
	bad.Metadata[""] = "x"
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		msgs  []*message.Message
		store error
		want  []durable.Status
		is    error
	}{
		"stored":         {t.Context(), []*message.Message{ok}, nil, nil, nil},
		"none":           {t.Context(), nil, nil, nil, nil},
		"invalid":        {t.Context(), []*message.Message{ok, bad}, nil, []durable.Status{durable.NotSent, durable.Rejected}, durable.ErrInvalid},
		"not sent":       {t.Context(), []*message.Message{ok}, broken, []durable.Status{durable.NotSent}, broken},
		"unknown":        {t.Context(), []*message.Message{ok}, durable.FailAll("t", 1, durable.Unknown, broken), []durable.Status{durable.Unknown}, broken},
		"context":        {ctx, []*message.Message{ok}, nil, []durable.Status{durable.NotSent}, context.Canceled},
		"context, empty": {ctx, nil, nil, nil, context.Canceled},
	} {
		ps, err := adapterkit.NewGate().Append(c.ctx, "here", "t", 0, c.msgs, func() ([]durable.Position, error) {
			if c.store != nil {
				return nil, c.store
			}
			return make([]durable.Position, len(c.msgs)), nil
		})
		if !errors.Is(err, c.is) || len(ps) != len(c.msgs) {
			t.Errorf("%s: got %d positions and %v, want %v", name, len(ps), err, c.is)
		}
		var batch *durable.BatchError
		if errors.As(err, &batch) != (c.want != nil) {
			t.Errorf("%s: got %v, want a BatchError: %t", name, err, c.want != nil)
			continue
		}
		for i, want := range c.want {
			if got := batch.Outcomes[i].Status; got != want {
				t.Errorf("%s: message %d: got %s, want %s", name, i, got, want)
			}
		}
	}
}

func TestUntilTriesAgainWhenItIsWoken(t *testing.T) {
	wake, closed := make(chan struct{}, 1), make(chan struct{})
	tries := 0
	err := adapterkit.Until(t.Context(), closed, wake, func() (bool, error) {
		tries++
		wake <- struct{}{}
		return tries == 3, nil
	})
	if err != nil || tries != 3 {
		t.Errorf("got %v after %d tries, want 3", err, tries)
	}
	<-wake
	err = adapterkit.Until(t.Context(), closed, wake, func() (bool, error) { close(closed); return false, nil })
	if !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// How does a backend let calls in, and close what it opened?
func ExampleGate() {
	ctx, gate := context.Background(), adapterkit.NewGate()
	consumer := &closer{}
	if err := gate.Enter(ctx); err == nil {
		gate.Keep(consumer) // what a Consume begins with and ends with
		gate.Leave()
	}
	fmt.Println(gate.Close(ctx), consumer.closed)
	fmt.Println(gate.Enter(ctx))
	// Output:
	// <nil> 1
	// closed
}

// How does an Append check its messages and tell what became of each?
func ExampleGate_Append() {
	ctx, gate := context.Background(), adapterkit.NewGate()
	full := func() ([]durable.Position, error) { return nil, errors.New("the disk is full") }
	_, err := gate.Append(ctx, "mine", "orders", 0, []*message.Message{message.NewMessage("1", nil)}, full)
	var batch *durable.BatchError
	fmt.Println(errors.As(err, &batch), batch.Outcomes[0].Status)
	_, err = gate.Append(ctx, "mine", "a topic", 0, []*message.Message{message.NewMessage("1", nil)}, full)
	fmt.Println(errors.Is(err, durable.ErrInvalid))
	// Output:
	// true not sent
	// true
}

// How does a Fetch wait for news?
func ExampleUntil() {
	gate, news := adapterkit.NewGate(), make(chan struct{}, 1)
	news <- struct{}{}
	tries := 0
	err := adapterkit.Until(context.Background(), gate.Done(), news, func() (bool, error) {
		tries++
		return tries == 2, nil
	})
	fmt.Println(tries, err)
	// Output: 2 <nil>
}
