package testenv

import "go.uber.org/goleak"

// Leaks are the goroutines that libraries leave behind however well they are used: goleak is to ignore them.
func Leaks() []goleak.Option {
	const toxiproxy = "github.com/Shopify/toxiproxy/v2"
	return []goleak.Option{
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"), // of sarama, one a process
		// Of a connection whose receiver left before all was handed on, see Proxy.
		goleak.IgnoreAnyFunction(toxiproxy + "/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction(toxiproxy + ".(*ToxicLink).read"),
	}
}
