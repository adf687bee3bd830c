package realtime

import (
	"testing"

	"github.com/dualstream/dualstream/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
