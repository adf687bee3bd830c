package durable

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// batchOf are deliveries whose messages have these UUIDs.
func batchOf(ids ...string) []Delivery {
	ds := make([]Delivery, len(ids))
	for i, id := range ids {
		ds[i].Message = message.NewMessage(id, nil)
	}
	return ds
}

func uuids(ds []Delivery) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = d.Message.UUID
	}
	return out
}

func TestAMiddlewareSeesEachDeliveryOfABatchWithItsOwnResult(t *testing.T) {
	bad, kept := errors.New("bad"), errors.New("kept")
	var batches [][]string
	seen := map[string]error{}
	h := EachOfBatch(func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			if msg.UUID == "settled" {
				return nil, kept
			}
			_, err := next(msg)
			seen[msg.UUID] = err
			if msg.UUID == "again" && err != nil {
				_, err = next(msg)
			}
			if msg.UUID == "swallowed" {
				err = nil
			}
			return nil, err
		}
	}, func(_ context.Context, ds []Delivery) []error {
		batches = append(batches, uuids(ds))
		if len(batches) == 2 {
			return nil
		}
		errs := make([]error, len(ds))
		for i, d := range ds {
			if d.Message.UUID != "fine" {
				errs[i] = bad
			}
		}
		return errs
	})
	ds := batchOf("fine", "settled", "again", "swallowed", "failed")
	before := ds[0].Message.Context()
	got := h(t.Context(), ds)
	if want := []error{nil, kept, nil, nil, bad}; !slices.Equal(got, want) {
		t.Errorf("results: got %v, want %v", got, want)
	}
	if len(batches) != 2 || !slices.Equal(batches[0], []string{"fine", "again", "swallowed", "failed"}) || !slices.Equal(batches[1], []string{"again"}) {
		t.Errorf("the handler was called with %v, want one batch, and again once more", batches)
	}
	if !errors.Is(seen["swallowed"], bad) || seen["fine"] != nil || ds[0].Message.Context() != before {
		t.Errorf("the middleware saw %v, or the message kept its context", seen)
	}
}

func TestAMiddlewareThatPanicsFailsItsOwnDeliveryAlone(t *testing.T) {
	h := EachOfBatch(func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			switch msg.UUID {
			case "before":
				panic("no")
			case "lost":
				msg.SetContext(context.Background())
			}
			out, err := next(msg)
			if msg.UUID == "after" {
				panic("no")
			}
			return out, err
		}
	}, func(_ context.Context, ds []Delivery) []error {
		if got := uuids(ds); !slices.Equal(got, []string{"fine", "after"}) {
			t.Errorf("the handler got %v", got)
		}
		return nil
	})
	got := h(t.Context(), batchOf("before", "fine", "lost", "after"))
	var p *PanicError
	if !errors.As(got[0], &p) || got[1] != nil || !errors.Is(got[2], errContextLost) || !errors.As(got[3], &p) {
		t.Errorf("got %v, want a panic, nil, a lost context, and a panic", got)
	}
}

func TestAHandlerOfABatchThatPanicsEndsTheMiddlewares(t *testing.T) {
	var ended []error
	h := EachOfBatch(func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			_, err := next(msg)
			ended = append(ended, err)
			return nil, err
		}
	}, func(context.Context, []Delivery) []error { panic("no") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic does not come out")
			}
		}()
		h(t.Context(), batchOf("1", "2"))
	}()
	if len(ended) != 2 || VerbOf(ended[0]) != VerbRelease || VerbOf(ended[1]) != VerbRelease {
		t.Errorf("the middlewares ended with %v, want each with a Release", ended)
	}
}

func TestAWrongNumberOfResultsFailsTheBatch(t *testing.T) {
	pass := func(next message.HandlerFunc) message.HandlerFunc { return next }
	h := EachOfBatch(pass, func(context.Context, []Delivery) []error { return make([]error, 1) })
	for i, err := range h(t.Context(), batchOf("1", "2")) {
		if err == nil {
			t.Errorf("delivery %d: got nil, want an error", i)
		}
	}
}

func TestWhatIsBehindARefusedDeliveryOfItsKeyIsNotHandledBeforeIt(t *testing.T) {
	refused := errors.New("refused")
	var seen []string
	h := EachOfBatch(func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			seen = append(seen, msg.UUID)
			if msg.UUID == "a1" || msg.UUID == "none" {
				return nil, refused
			}
			return next(msg)
		}
	}, func(_ context.Context, ds []Delivery) []error {
		wantList(t, "handled", uuids(ds), []string{"b1", "other"})
		return nil
	})
	ds := batchOf("a1", "b1", "a2", "none", "other", "a3")
	for i, key := range []string{"a", "b", "a", "", "", "a"} {
		ds[i].Key = key
	}
	got := h(t.Context(), ds)
	wantList(t, "seen by the middleware", seen, []string{"a1", "b1", "none", "other"})
	for _, i := range []int{2, 5} {
		if VerbOf(got[i]) != VerbRelease {
			t.Errorf("%s: got %v, want it given back", ds[i].Message.UUID, got[i])
		}
	}
	if got[0] != refused || got[1] != nil || got[3] != refused || got[4] != nil { //nolint:errorlint // the very error
		t.Errorf("got %v", got)
	}
}

func TestWhatFailsBehindAFailedDeliveryOfItsKeyIsGivenBack(t *testing.T) {
	bad, end := errors.New("bad"), Stop(errors.New("end"))
	seen := map[string]error{}
	h := EachOfBatch(func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			_, err := next(msg)
			seen[msg.UUID] = err
			return nil, err
		}
	}, func(context.Context, []Delivery) []error { return []error{bad, bad, nil, bad, end, bad, bad, bad} })
	ds := batchOf("a1", "a2", "a3", "b1", "b2", "none1", "none2", "other")
	for i, key := range []string{"a", "a", "a", "b", "b", "", "", "a"} {
		ds[i].Key = key
	}
	ds[7].Claim = NewClaim(t.Context(), "other", 0, 1)
	h(t.Context(), ds)
	for id, want := range map[string]error{"a1": bad, "a3": nil, "b1": bad, "b2": end, "none1": bad, "none2": bad, "other": bad} {
		if seen[id] != want { //nolint:errorlint // the very error
			t.Errorf("%s: got %v, want %v", id, seen[id], want)
		}
	}
	if VerbOf(seen["a2"]) != VerbRelease {
		t.Errorf("a2: got %v, want a Release", seen["a2"])
	}
}
