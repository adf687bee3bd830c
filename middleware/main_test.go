package middleware_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/internal/testenv"
)

// TestMain ignores the clock of sarama's metrics: there is one for the life of a process.
func TestMain(m *testing.M) {
	testenv.RunHelper(crashing())
	testenv.SideBySide(4)
	goleak.VerifyTestMain(m, testenv.Leaks()...)
}
