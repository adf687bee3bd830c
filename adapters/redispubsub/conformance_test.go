package redispubsub

import (
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
	"github.com/dualstream/dualstream/realtime/realtimetest"
)

func TestConformance(t *testing.T) {
	proxy := testenv.NewProxy(t, testenv.Redis(t))
	realtimetest.Run(t, realtimetest.Harness{
		New: func(t testing.TB) realtime.Backend { return open(t, proxy.Addr()) },
		Break: func(testing.TB) {
			proxy.Cut()
			proxy.Restore()
		},
	})
}
