package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A Proxy forwards TCP connections and spoils them on demand. Effects add up until Restore.
// Its methods are called from the test's goroutine, one at a time.
type Proxy struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// NewProxy starts a proxy in front of upstream (host:port), which need not listen yet. It ends with t.
func NewProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	port := reservePort(t)
	zerolog.SetGlobalLevel(zerolog.Disabled) // some effects log to the package's logger, which nobody else uses
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{t: t, proxy: toxiproxy.NewProxy(server, "testenv", loopback(port), upstream)}
	must(t, "start a proxy", p.proxy.Start())
	t.Cleanup(p.end)
	return p
}

// Addr is the address that clients dial.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// Cut closes all connections and refuses new ones.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Stall keeps connections open, accepts new ones, and forwards nothing: a network that lost its packets.
func (p *Proxy) Stall() {
	p.t.Helper()
	p.add("stall", "timeout", map[string]int64{"timeout": 0})
}

// Delay forwards every byte d later, in each direction: a round trip takes 2d more.
func (p *Proxy) Delay(d time.Duration) {
	p.t.Helper()
	p.add("delay", "latency", map[string]int64{"latency": d.Milliseconds()})
}

// Throttle forwards at most bytesPerSec in each direction, in steps of 1,000.
func (p *Proxy) Throttle(bytesPerSec int) {
	p.t.Helper()
	p.add("throttle", "bandwidth", map[string]int64{"rate": int64(max(1, bytesPerSec/1000))})
}

// Restore ends all effects. Connections that were stalled are closed; those that were delayed or throttled go on.
func (p *Proxy) Restore() {
	p.t.Helper()
	p.proxy.Toxics.ResetToxics(context.Background())
	if !p.proxy.Enabled {
		must(p.t, "start the proxy again", p.proxy.Start())
	}
}

// add spoils both directions; a second effect of the same name replaces the first.
func (p *Proxy) add(name, kind string, attributes map[string]int64) {
	p.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := name + "-" + stream
		if p.proxy.Toxics.GetToxic(toxic) != nil {
			must(p.t, "replace "+toxic, p.proxy.Toxics.RemoveToxic(context.Background(), toxic))
		}
		spec, err := json.Marshal(map[string]any{
			"name": toxic, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes,
		})
		must(p.t, "describe "+toxic, err)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(string(spec))); err != nil {
			must(p.t, fmt.Sprintf("add %s", toxic), err)
		}
	}
}

// end closes the connections first: an effect cannot be removed while it writes to a peer that does not read.
func (p *Proxy) end() {
	p.proxy.Stop()
	p.proxy.Toxics.ResetToxics(context.Background())
}
