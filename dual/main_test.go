package dual_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain ignores the clock of sarama's metrics, of which there is one for the life of a process, and links of the proxy
// whose client left amid a write: they keep their sender for ever.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}
