package dedupetest

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dualstream/dualstream/middleware"
)

// Short names of the states.
const (
	reserved = middleware.DedupeReserved
	busy     = middleware.DedupeBusy
	handled  = middleware.DedupeHandled
)

// Checks is the list of all checks.
func Checks() []Check {
	return []Check{
		{"AKeyIsReservedOnceAndBusyForOthers", checkReserve},
		{"OfManyAtOnceOneGetsTheKey", checkRace},
		{"WhatWasHandledStaysHandled", checkHandled},
		{"WhatWasGivenUpIsFree", checkReleased},
		{"OnlyTheHolderGivesUp", checkForeignRelease},
		{"TheLeaseEnds", checkLease},
		{"TheHolderExtendsItsLease", checkExtend},
		{"HandledAfterALostLeaseIsHandled", checkLateConfirm},
		{"HandledWithoutReservationIsHandled", checkBareConfirm},
		{"TheMemoryOfAnEventEnds", checkKeep},
		{"ABatchIsDecidedElementByElement", checkBatch},
		{"NothingIsNoError", checkEmpty},
		{"KeysOfAnyTextAreKeptApart", checkKeys},
		{"TheSliceIsTheCallers", checkOwnership},
		{"AnEndedContextReturns", checkContext},
	}
}

func checkReserve(e *Env) {
	e.want("first", e.reserve(e.token(), long, "a"), reserved)
	e.want("second", e.reserve(e.token(), long, "a"), busy)
	e.want("another key", e.reserve(e.token(), long, "b"), reserved)
}

func checkRace(e *Env) {
	const callers = 32
	var won atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			rs := []middleware.Reservation{{Key: e.key("a"), Token: e.token(), Lease: long}}
			if err := e.store.Reserve(e.context(), rs); err != nil {
				e.Errorf("Reserve: got %v, want nil", err)
			} else if rs[0].State == reserved {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		e.Errorf("reservations of one key by %d callers: got %d, want 1", callers, n)
	}
}

func checkHandled(e *Env) {
	token := e.token()
	e.want("first", e.reserve(token, long, "a"), reserved)
	e.settle(token, long, "a")
	e.want("another", e.reserve(e.token(), long, "a"), handled)
	e.want("the same token", e.reserve(token, long, "a"), handled)
	e.settle(token, 0, "a")
	e.want("after giving up what was handled", e.reserve(e.token(), long, "a"), handled)
}

func checkReleased(e *Env) {
	token := e.token()
	e.want("first", e.reserve(token, long, "a"), reserved)
	e.settle(token, 0, "a")
	e.want("after giving up", e.reserve(e.token(), long, "a"), reserved)
}

func checkForeignRelease(e *Env) {
	e.want("first", e.reserve(e.token(), long, "a"), reserved)
	e.settle(e.token(), 0, "a", "never reserved")
	e.want("after somebody else gave it up", e.reserve(e.token(), long, "a"), busy)
}

func checkLease(e *Env) {
	e.want("first", e.reserve(e.token(), short, "a"), reserved)
	e.await("after the lease", "a")
}

func checkExtend(e *Env) {
	token := e.token()
	e.want("first", e.reserve(token, short, "a", "marker"), reserved, reserved)
	e.want("extended", e.reserve(token, long, "a"), reserved)
	e.await("the lease that was not extended", "marker")
	e.want("the lease that was", e.reserve(e.token(), long, "a"), busy)
	e.settle(token, 0, "a")
	e.want("after giving up", e.reserve(e.token(), long, "a"), reserved)
}

func checkLateConfirm(e *Env) {
	first, second := e.token(), e.token()
	e.want("first", e.reserve(first, short, "a"), reserved)
	e.awaitWith(second, "the second", "a")
	e.settle(first, long, "a")
	e.settle(second, 0, "a")
	e.want("after a late success and a later failure", e.reserve(e.token(), long, "a"), handled)
}

func checkBareConfirm(e *Env) {
	e.settle(e.token(), long, "a")
	e.want("afterwards", e.reserve(e.token(), long, "a"), handled)
}

func checkKeep(e *Env) {
	token := e.token()
	e.want("first", e.reserve(token, long, "a"), reserved)
	e.settle(token, short, "a")
	e.await("after its time", "a")
}

func checkBatch(e *Env) {
	first, second := e.token(), e.token()
	e.want("first", e.reserve(first, long, "a", "b"), reserved, reserved)
	e.settle(first, long, "a")
	e.want("mixed", e.reserve(second, long, "a", "b", "c"), handled, busy, reserved)
	rs := []middleware.Reservation{
		{Key: e.key("d"), Token: first, Lease: long}, {Key: e.key("d"), Token: second, Lease: long},
	}
	if err := e.store.Reserve(e.context(), rs); err != nil || rs[0].State != reserved || rs[1].State != busy {
		e.Errorf("one key twice: got %v, %v and %v, want reserved and busy", rs[0].State, rs[1].State, err)
	}
	many := make([]string, 500)
	for i := range many {
		many[i] = "many-" + strconv.Itoa(i)
	}
	for i, s := range e.reserve(first, long, many...) {
		if s != reserved {
			e.Fatalf("element %d of %d: got %v, want reserved", i, len(many), s)
		}
	}
	e.settle(first, long, many...)
	for i, s := range e.reserve(second, long, many...) {
		if s != handled {
			e.Fatalf("element %d of %d: got %v, want handled", i, len(many), s)
		}
	}
}

func checkEmpty(e *Env) {
	if err := e.store.Reserve(e.context(), nil); err != nil {
		e.Errorf("Reserve of nothing: got %v, want nil", err)
	}
	if err := e.store.Settle(e.context(), nil); err != nil {
		e.Errorf("Settle of nothing: got %v, want nil", err)
	}
}

func checkKeys(e *Env) {
	keys := []string{
		" ", "a", "A", "a:b", "a\x1fb", "{a}b", "{b}b", "a*[1]?", "übér/漢字", "a\r\nSET b 1", "\x00", strings.Repeat("k", 2048),
	}
	for i, s := range e.reserve(e.token(), long, keys...) {
		if s != reserved {
			e.Errorf("key %q: got %v, want reserved", keys[i], s)
		}
	}
	for i, s := range e.reserve(e.token(), long, keys...) {
		if s != busy {
			e.Errorf("key %q again: got %v, want busy", keys[i], s)
		}
	}
}

func checkOwnership(e *Env) {
	rs, ss := make([]middleware.Reservation, 1), make([]middleware.Settlement, 1)
	for i := range 50 {
		key, token := e.key(strconv.Itoa(i)), e.token()
		rs[0] = middleware.Reservation{Key: key, Token: token, Lease: long}
		if err := e.store.Reserve(e.context(), rs); err != nil || rs[0].State != reserved {
			e.Fatalf("Reserve %d: got %v, %v, want reserved", i, rs[0].State, err)
		}
		ss[0] = middleware.Settlement{Key: key, Token: token, Keep: long}
		if err := e.store.Settle(e.context(), ss); err != nil {
			e.Fatalf("Settle %d: got %v, want nil", i, err)
		}
		rs[0], ss[0] = middleware.Reservation{}, middleware.Settlement{}
	}
	for i := range 50 {
		e.want("key "+strconv.Itoa(i), e.reserve(e.token(), long, strconv.Itoa(i)), handled)
	}
}

func checkContext(e *Env) {
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.store.Reserve(ctx, []middleware.Reservation{{Key: e.key("a"), Token: e.token(), Lease: long}}) // either way
	}()
	select {
	case <-done:
	case <-time.After(patience):
		e.Fatalf("Reserve with an ended context did not return within %s", patience)
	}
}
