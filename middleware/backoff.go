package middleware

import (
	"context"
	"math/rand/v2"
	"time"
)

// exponential is initial doubled after every attempt after the first, up to most.
func exponential(attempt int, initial, most time.Duration) time.Duration {
	d := initial
	for ; attempt > 1 && d < most; attempt-- {
		if d *= 2; d <= 0 {
			return most
		}
	}
	return min(d, most)
}

// fullJitter is a random duration from 0 to d.
func fullJitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d + 1)
}

// wait returns after d, or at the end of ctx with its cause.
func wait(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
