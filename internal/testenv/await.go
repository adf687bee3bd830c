package testenv

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollEvery is the pause between two looks at a condition.
const pollEvery = 10 * time.Millisecond

// Await returns once cond holds and fails the test when it does not within timeout.
// cond runs on the goroutine of the test, at least once; what names the condition in the failure.
func Await(t testing.TB, timeout time.Duration, cond func() bool, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := poll(ctx, cond); err != nil {
		t.Fatalf("testenv: not within %s: %s", timeout, what)
	}
}

// poll looks at cond until it holds or ctx is done, and once more then: the process may have stood still since the last
// look.
func poll(ctx context.Context, cond func() bool) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if cond() {
			return nil
		}
		select {
		case <-ctx.Done():
			if cond() {
				return nil
			}
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// pollErr calls try until it succeeds; when ctx is done first, it returns the last error of try.
func pollErr(ctx context.Context, try func() error) error {
	var last error
	err := poll(ctx, func() bool {
		err := try()
		if last == nil || ctx.Err() == nil { // then it tells more than that the time is over
			last = err
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}
