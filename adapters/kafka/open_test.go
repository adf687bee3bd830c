package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// mute is the address of a broker that accepts connections and answers nothing.
func mute(t *testing.T) string {
	t.Helper()
	p := testenv.NewProxy(t, testenv.Kafka(t)[0])
	p.Stall()
	return p.Addr()
}

func TestAMuteBrokerFailsOpenInItsTimeAndLeavesNothing(t *testing.T) {
	addr := mute(t)
	others := goleak.IgnoreCurrent()
	_, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{addr}, OpenTimeout: 300 * time.Millisecond, AppendTimeout: time.Hour})
	if !errors.Is(err, durable.ErrUnavailable) || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "open_timeout") {
		t.Errorf("got %v, want ErrUnavailable that names the broker and open_timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := kafka.Open(ctx, kafka.Config{Brokers: []string{addr}, OpenTimeout: time.Hour, AppendTimeout: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	testenv.Await(t, 20*time.Second, func() bool { // the connections, which wait for an hour, are cut
		err := goleak.Find(others, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).Start"))
		return err == nil || !strings.Contains(err.Error(), "sarama")
	}, "every goroutine of sarama has ended")
}

func TestAFileThatNamesAMuteBrokerIsBlamedWithItsLine(t *testing.T) {
	text := fmt.Sprintf("durable:\n  backend: kafka\n  kafka:\n    open_timeout: 300ms\n    brokers: [ '%s' ]\nrealtime:\n  backend: memory\n", mute(t))
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	_, err = dual.Open(t.Context(), cfg, adapters.All())
	if err == nil || !errors.Is(err, durable.ErrUnavailable) || !strings.HasPrefix(err.Error(), "f.yaml:5: durable.kafka.brokers: ") {
		t.Errorf("got %v, want the line and the path of the brokers", err)
	}
}

func TestOpenDialsThroughTheConfiguredProxy(t *testing.T) {
	dialed := &countingDialer{}
	b, err := kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), OpenTimeout: 30 * time.Second, Sarama: dialed.use})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if dialed.n.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

type countingDialer struct{ n atomic.Int32 }

func (d *countingDialer) Dial(network, addr string) (net.Conn, error) {
	d.n.Add(1)
	return net.Dial(network, addr)
}

func (d *countingDialer) use(c *sarama.Config) { c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, d }

func TestAnErrorOfOpenIsOneLineThatNamesEachBroker(t *testing.T) {
	t.Parallel()
	_, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{"127.0.0.1:1", "127.0.0.1:2"}, OpenTimeout: 30 * time.Second})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "127.0.0.1:2: connect") || !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %q, want one line", err)
	}
	login := kafka.Config{Brokers: testenv.Kafka(t), OpenTimeout: 2 * time.Second, SASL: kafka.SASL{User: "u", Password: "p"}}
	if _, err := kafka.Open(t.Context(), login); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want one line", err)
	}
}
