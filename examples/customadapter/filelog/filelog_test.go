package filelog_test

import (
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/examples/customadapter/filelog"
	"github.com/dualstream/dualstream/internal/testenv"
)

func open(t testing.TB, dir string) *filelog.Backend {
	t.Helper()
	b, err := filelog.Open(filelog.Settings{Dir: dir, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	durabletest.Run(t, durabletest.Harness{
		New:      func(t testing.TB) durable.Backend { return open(t, dir) },
		NewTopic: func(t testing.TB, _ int) string { return testenv.Name(t, "topic") },
	})
}
