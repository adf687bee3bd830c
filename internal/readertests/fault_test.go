package readertests

import (
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// The reader's connection is cut and made again: nothing is missed, and nothing comes twice.
func TestAReaderOutlivesItsConnection(t *testing.T) {
	fast := func(int, error) time.Duration { return 10 * time.Millisecond }
	t.Run("redisstream", func(t *testing.T) {
		proxy := testenv.NewProxy(t, testenv.Redis(t))
		b, err := redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: proxy.Addr()}})
		read := opened(t, b, b, err)
		b, err = redisstream.Open(t.Context(), redisstream.Config{
			Connection: redisstream.Connection{Addr: testenv.Redis(t), Timeout: answers}, AppendTimeout: answers,
		})
		outlives(t, read, opened(t, b, b, err), fast, proxy.Cut, proxy.Restore)
	})
	t.Run("kafka", func(t *testing.T) {
		server := testenv.StartKafka(t, testenv.KafkaOptions{Proxied: true})
		b, err := kafka.Open(t.Context(), kafka.Config{Brokers: server.Brokers(), OpenTimeout: answers, AppendTimeout: answers})
		s := opened(t, b, b, err)
		proxy := server.Node(1).Proxy()
		outlives(t, s, s, fast, func() { proxy.Cut(); proxy.Restore() }, func() {}) // what is written goes the same way
	})
}

func outlives(t *testing.T, read, write store, backoff func(int, error) time.Duration, cut, restore func()) {
	topic := write.topic(t, 3)
	r := read.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic), Start: durable.Newest(), Backoff: backoff})
	sub := subscribe(t, r, durable.SubscribeOptions{})
	write.put(t, topic, "x1")
	sees(t, sub, "x1")
	for _, ids := range [][]string{{"x2", "x3", "x4", "x5"}, {"x6", "x7"}} {
		cut()
		write.put(t, topic, ids...)
		restore()
		sees(t, sub, ids...)
	}
	write.put(t, topic, "x8")
	sees(t, sub, "x8")
}
