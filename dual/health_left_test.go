package dual_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/dual"
)

func TestAProbeWhoseCallerLeftIsNoChangeOfReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		slow := dual.HealthCheck{Name: "slow", Check: func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		}}
		h := newHealth(t, dual.HealthOptions{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, slow)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		h.Ready(ctx)
		if !h.Ready(t.Context()).OK || logged.Len() > 0 {
			t.Errorf("logged %q, want nothing: the process was ready all the time", logged.String())
		}
	})
}
