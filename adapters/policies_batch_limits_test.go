package adapters_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// TestTheLimitsOfAFileHoldForBatches has six events come as one batch, to a handler that fails in the first minute where
// fails says so.
func TestTheLimitsOfAFileHoldForBatches(t *testing.T) {
	for _, c := range []struct {
		section     string
		fails       bool
		least, most int // batches that were begun in the first minute
		last        time.Duration
	}{
		{"", false, 1, 1, time.Second},
		{"rate_limit: { per_second: 2 }", false, 1, 1, 2500 * time.Millisecond},
		{"", true, 59, 1 << 20, time.Minute},
		{"breaker: { failures: 6, open: 10m }", true, 1, 1, 10 * time.Minute},
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"retry: { max_attempts: 100000, initial: 1s, max: 1s }\n"+c.section+"\n")
				publishOrders(t, s, "1", "2", "3", "4", "5", "6")
				begin, early, last := time.Now(), 0, time.Duration(0)
				h := s.Batch("billing", func(_ context.Context, ds []durable.Delivery) []error {
					last = time.Since(begin)
					errs := make([]error, len(ds))
					if last >= time.Minute {
						return errs
					}
					early++
					for i := range errs {
						if c.fails {
							errs[i] = errHandler
						}
					}
					return errs
				})
				g := s.Group("billing")
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() {
					ended <- durable.ProcessBatch(ctx, s.Durable, g, h, durable.BatchOptions{ProcessOptions: s.ProcessOf(g), Size: 6, Wait: time.Second})
				}()
				time.Sleep(30 * time.Minute)
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if early < c.least || early > c.most || last < c.last-time.Second {
					t.Errorf("%d batches in the first minute, the last after %s; want %d to %d, the last after about %s", early, last, c.least, c.most, c.last)
				}
			})
		})
	}
}
