package middleware_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// The environment of a helper process.
const (
	crashBackend = "MIDDLEWARE_TEST_BACKEND"
	crashAddr    = "MIDDLEWARE_TEST_ADDR"
	crashTopic   = "MIDDLEWARE_TEST_TOPIC"
	crashGroup   = "MIDDLEWARE_TEST_GROUP"
)

// crashing are the helpers, by name.
func crashing() map[string]func() {
	return map[string]func(){"poison": poisonAndHang, "backoff": retryForever}
}

// openBroker opens a backend whose members are soon known to be dead.
func openBroker(kind, addr string) (durable.Backend, error) {
	if kind == "kafka" {
		return kafka.Open(context.Background(), kafka.Config{Brokers: strings.Split(addr, ","), SessionTimeout: 6 * time.Second, Logger: silent})
	}
	return redisstream.Open(context.Background(), redisstream.Config{
		Connection: redisstream.Connection{Addr: addr}, LeaseTTL: 2 * time.Second, Logger: silent,
	})
}

// inChild is durable.Process in a helper process, for ever.
func inChild(h func(b durable.Backend) message.HandlerFunc) {
	b, err := openBroker(os.Getenv(crashBackend), os.Getenv(crashAddr))
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	g := durable.Group{Name: os.Getenv(crashGroup), Topics: durable.Topics(os.Getenv(crashTopic))}
	fmt.Println("ended", durable.Process(context.Background(), b, g, plain(h(b)), durable.ProcessOptions{Logger: silent}))
}

// poisonAndHang is another process: it poisons an event and hangs before it is acknowledged.
func poisonAndHang() {
	inChild(func(b durable.Backend) message.HandlerFunc {
		p := poisoning(b)
		p.OnPoison = func(e middleware.PoisonEvent) {
			fmt.Println("poisoned", e.Message.Metadata[durable.MetaID])
			select {}
		}
		return p.Middleware(failing(middleware.Permanent(errHandler)))
	})
}

// retryForever is another process: whatever it is given waits for an attempt that is far away.
func retryForever() {
	inChild(func(b durable.Backend) message.HandlerFunc {
		r := middleware.Retry{Initial: time.Hour, Max: time.Hour, OnRetry: func(e middleware.RetryEvent) {
			fmt.Println("waits", e.Message.Metadata[durable.MetaID])
		}}
		return poisoning(b).Middleware(r.Middleware(failing(errHandler)))
	})
}

// onBrokers runs f on a Redis server and on a Kafka broker.
func onBrokers(t *testing.T, f func(t *testing.T, kind, addr string, b durable.Backend)) {
	for _, kind := range []string{"redis", "kafka"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // they wait for members to be found dead
			addr := ""
			if kind == "kafka" {
				addr = strings.Join(testenv.Kafka(t), ",")
			} else {
				addr = testenv.Redis(t)
			}
			b, err := openBroker(kind, addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			f(t, kind, addr, b)
		})
	}
}

// killed stores n events, has another process be the helper on them, and kills it after it has written a line.
func killed(t *testing.T, b durable.Backend, helper, kind, addr, line string, n int) (topic, group, rest string) {
	t.Helper()
	topic, group = testenv.Name(t, "orders"), testenv.Name(t, "g")
	topics(t, b, topic, topic+".poison")
	for i := range n {
		appendAll(t, b, topic, event(t, fmt.Sprint("e", i), fmt.Sprint("k", i%5)))
	}
	p := testenv.Reexec(t, helper, crashBackend+"="+kind, crashAddr+"="+addr, crashTopic+"="+topic, crashGroup+"="+group)
	rest = p.AwaitLine(time.Minute, line)
	p.Kill()
	return topic, group, rest
}

func TestAProcessKilledBetweenPoisonAndAcknowledgementDuplicatesAndLosesNothing(t *testing.T) {
	t.Parallel()
	onBrokers(t, func(t *testing.T, kind, addr string, b durable.Backend) {
		const n = 20
		topic, group, hung := killed(t, b, "poison", kind, addr, "poisoned ", n)
		monitor := new(durable.Monitor)
		run := processWith(b, group, poisoning(b).Middleware(failing(middleware.Permanent(errHandler))),
			durable.ProcessOptions{Monitor: monitor}, topic)
		testenv.Await(t, 2*time.Minute, func() bool { return monitor.Stats().Total().Acked >= n }, "all are acknowledged")
		run.end(t)
		times := map[string]int{}
		for _, id := range ids(replayed(t, b, topic+".poison")) {
			times[id]++
		}
		if len(times) != n || times[hung] < 2 {
			t.Errorf("poisoned %v, want %d events, and %s of before the crash again", times, n, hung)
		}
	})
}

func TestAProcessKilledInABackoffLosesNothingAndPoisonsNothing(t *testing.T) {
	t.Parallel()
	onBrokers(t, func(t *testing.T, kind, addr string, b durable.Backend) {
		const n = 10
		topic, group, _ := killed(t, b, "backoff", kind, addr, "waits ", n)
		var handled log[string]
		monitor := new(durable.Monitor)
		h := middleware.Retry{}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			handled.add(msg.Metadata[durable.MetaID])
			return nil, nil
		})
		run := processWith(b, group, poisoning(b).Middleware(h), durable.ProcessOptions{Monitor: monitor}, topic)
		testenv.Await(t, 2*time.Minute, func() bool { return monitor.Stats().Total().Acked >= n }, "all are acknowledged")
		run.end(t)
		got := handled.list()
		if slices.Sort(got); len(slices.Compact(got)) != n || len(replayed(t, b, topic+".poison")) != 0 {
			t.Errorf("handled %v, poisoned %v, want all %d handled and none poisoned", got, ids(replayed(t, b, topic+".poison")), n)
		}
	})
}
