package durable

import (
	"context"
	"errors"
	"testing"
)

func TestAClaimIsLostOnceItsGuardSaysSo(t *testing.T) {
	c, held := NewClaim(t.Context(), "t", 0, 1), true
	c.Guard(func() bool { return held })
	if c.Lost() {
		t.Fatal("the claim is lost, want it held")
	}
	held = false
	if !c.Lost() || c.Context().Err() == nil || !errors.Is(context.Cause(c.Context()), ErrFenced) {
		t.Errorf("got cause %v, want the claim lost with ErrFenced", context.Cause(c.Context()))
	}
	select {
	case <-c.Draining():
	default:
		t.Error("a lost claim does not drain")
	}
	held = true
	if !c.Lost() {
		t.Error("the claim came back")
	}
}
