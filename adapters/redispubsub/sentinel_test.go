package redispubsub

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// TestASentinelFailoverIsAGap has the master die that sentinels name: what is sent to its successor is heard behind a gap.
func TestASentinelFailoverIsAGap(t *testing.T) {
	t.Parallel()
	server, channel := testenv.StartSentinel(t), unique(t)
	b := open(t, "", func(c *Config) {
		c.Sentinel = Sentinel{Addrs: server.Addrs(), Master: server.MasterName()}
	})
	s := subscribe(t, b, channel)
	notify(t, b, channel, "before")
	want(t, s, "before")
	server.Failover()
	wantGap(t, s, realtime.GapReconnect)
	sent := 0
	testenv.Await(t, 2*patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		sent++
		id := fmt.Sprint("after", sent)
		if b.Notify(ctx, realtime.Notification{Channel: channel, ID: id}) != nil {
			return false
		}
		for {
			got, err := s.Next(ctx)
			if err != nil || got.Notification.ID == id {
				return err == nil
			}
		}
	}, "what the successor is sent is heard")
}
