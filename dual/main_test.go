package dual_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }
