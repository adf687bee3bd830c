package middleware

import "sync/atomic"

// DedupeStats counts what a Dedupe decided, since its first use.
type DedupeStats struct {
	Handled     uint64 // handled and remembered
	Duplicates  uint64 // acknowledged without the handler, because handled before
	Busy        uint64 // times that an event was found reserved by another attempt
	Released    uint64 // given up: the handler failed, panicked, or what it produced was not published
	Unchecked   uint64 // handled without asking, because the store was down (FailOpen)
	Held        uint64 // times that an event was held back, because the store was down (FailClosed)
	StoreErrors uint64 // calls of the store that failed
	Unsettled   uint64 // of Handled and Released: the store was not told; the lease ends the reservation
	Lost        uint64 // leases that somebody else had taken when they were to be extended
	Unkeyed     uint64 // handled without asking, because the message has no key
}

type dedupeCounts struct {
	handled, duplicates, busy, released, unchecked, held, storeErrors, unsettled, lost, unkeyed atomic.Uint64
}

func (c *dedupeCounts) snapshot() DedupeStats {
	return DedupeStats{
		Handled: c.handled.Load(), Duplicates: c.duplicates.Load(), Busy: c.busy.Load(), Released: c.released.Load(),
		Unchecked: c.unchecked.Load(), Held: c.held.Load(), StoreErrors: c.storeErrors.Load(),
		Unsettled: c.unsettled.Load(), Lost: c.lost.Load(), Unkeyed: c.unkeyed.Load(),
	}
}
