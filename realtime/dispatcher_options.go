package realtime

import (
	"log/slog"
	"strconv"
	"time"
)

// DefaultQueue is how many notifications may wait in a Dispatcher.
const DefaultQueue = 8192

// DispatcherOptions configures a Dispatcher. The zero value is usable: what is 0 has the default.
type DispatcherOptions struct {
	Queue          int           // notifications that may wait; default DefaultQueue
	Batch          int           // most notifications of one Notify; default 256, at most Queue
	Timeout        time.Duration // bound of each Notify; default 1 s
	Coalesce       bool          // of those that wait, keep only the newest of each channel
	FailuresToOpen int           // failed Notify in a row that open the circuit breaker; default 3
	BackoffMin     time.Duration // how long the breaker stays open at first; default 100 ms
	BackoffMax     time.Duration // bound of its doubling with each failed probe; default 5 s
	Logger         *slog.Logger  // told when the breaker opens and closes; default slog.Default()
}

// complete fills in defaults and checks the rest.
func (o *DispatcherOptions) complete() error {
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{{"Queue", &o.Queue, DefaultQueue}, {"Batch", &o.Batch, 256}, {"FailuresToOpen", &o.FailuresToOpen, 3}} {
		if *f.value < 0 {
			return invalid(f.name, strconv.Itoa(*f.value), "use a positive number, or 0 for the default")
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Timeout", &o.Timeout, time.Second},
		{"BackoffMin", &o.BackoffMin, 100 * time.Millisecond},
		{"BackoffMax", &o.BackoffMax, max(5*time.Second, o.BackoffMin)},
	} {
		if *f.value < 0 {
			return invalid(f.name, f.value.String(), "use a positive duration, or 0 for the default")
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if o.BackoffMax < o.BackoffMin {
		return invalid("BackoffMax", o.BackoffMax.String(), "use at least BackoffMin, "+o.BackoffMin.String())
	}
	o.Batch = min(o.Batch, o.Queue)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}
