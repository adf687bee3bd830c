package realtime

// DispatcherStats is a consistent snapshot of a Dispatcher: at any time
//
//	Dispatched == Sent + Dropped.Total() + Queued + InFlight
type DispatcherStats struct {
	Dispatched uint64    // notifications that Dispatch was given
	Sent       uint64    // taken by the backend
	Dropped    DropStats // not sent, by reason
	Queued     uint64    // waiting now
	InFlight   uint64    // in the hands of the backend now

	Batches uint64       // calls of Notify that have returned
	Breaker BreakerState // state of the circuit breaker
	Opened  uint64       // times that the breaker opened; a failed probe does not count again
	Panics  uint64       // calls of Notify that panicked; what they had is dropped as an error
	Stuck   bool         // the backend was found to ignore the end of its context, and has not returned since
}

// DropStats counts notifications that were not sent, by reason. After an error or a timeout some of the batch may
// have been broadcast all the same.
type DropStats struct {
	Overflow  uint64 // the queue was full: the oldest went
	Coalesced uint64 // a newer one of the channel took its place
	Breaker   uint64 // the circuit breaker was open
	Error     uint64 // Notify failed
	Timeout   uint64 // Notify did not return in time
	Closed    uint64 // the dispatcher was closed first
	Invalid   uint64 // refused by Validate or by the backend
}

// Total is the sum over all reasons.
func (d DropStats) Total() uint64 {
	return d.Overflow + d.Coalesced + d.Breaker + d.Error + d.Timeout + d.Closed + d.Invalid
}
