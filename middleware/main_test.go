package middleware_test

import (
	"testing"

	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestMain ignores the clock of sarama's metrics: there is one for the life of a process.
func TestMain(m *testing.M) {
	testenv.RunHelper(crashing())
	testenv.SideBySide(4)
	leaktest.Main(m, testenv.Leaks()...)
}
