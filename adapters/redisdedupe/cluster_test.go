package redisdedupe_test

import (
	"testing"

	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/dedupetest"
)

// TestConformanceOnAClusterByItsSettings is on connections of the store's own, one to each master.
func TestConformanceOnAClusterByItsSettings(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t)
	dedupetest.Run(t, func(t testing.TB) middleware.DedupeStore {
		return open(t, redisdedupe.Config{
			Connection:  redisdedupe.Connection{Cluster: redisdedupe.Cluster{Addrs: cluster.Addrs()}, Timeout: patience},
			CallTimeout: patience,
		})
	})
}
