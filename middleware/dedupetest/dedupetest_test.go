package dedupetest_test

import (
	"testing"

	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/dedupetest"
)

func TestTheMemoryStoreConforms(t *testing.T) {
	dedupetest.Run(t, func(testing.TB) middleware.DedupeStore { return middleware.NewMemoryDedupe(0) })
}
