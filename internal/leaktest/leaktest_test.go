package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { Main(m) }

func TestAGoroutineThatIsEndingIsNoLeakAndOneThatGoesOnIs(t *testing.T) {
	before := goleak.IgnoreCurrent()
	end := make(chan struct{})
	go func() { <-end }()
	if err := find(time.Millisecond, before); err == nil {
		t.Error("got no leak while a goroutine goes on")
	}
	time.AfterFunc(time.Second, func() { close(end) }) // goleak alone gives up after half of that
	None(t, before)
}
