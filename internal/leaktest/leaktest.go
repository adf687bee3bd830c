// Package leaktest looks for goroutines that tests leave behind, and lets those that are ending end: on a machine that is
// short of processor time that takes longer than goleak waits.
package leaktest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a goroutine that is ending may stand still.
const patience = 15 * time.Second

// Find is an error that names the goroutines that have not ended in time.
func Find(options ...goleak.Option) error {
	return find(patience, options...)
}

func find(most time.Duration, options ...goleak.Option) error {
	begin := time.Now()
	err := goleak.Find(options...)
	for err != nil && time.Since(begin) < most {
		err = goleak.Find(options...)
	}
	return err
}

// None fails t where Find finds some.
func None(t testing.TB, options ...goleak.Option) {
	t.Helper()
	if err := Find(options...); err != nil {
		t.Error(err)
	}
}

// Main is a TestMain: it runs the tests and ends the process, which fails where they pass and Find finds some.
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if code == 0 {
		if err := Find(options...); err != nil {
			fmt.Fprintln(os.Stderr, "leaktest: after the tests:", err)
			code = 1
		}
	}
	os.Exit(code)
}
