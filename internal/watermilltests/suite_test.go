package watermilltests

import (
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestWatermillsSuiteOnMemory(t *testing.T) {
	t.Parallel()
	suite(t, onMemory(t), nil)
}

func TestWatermillsSuiteOnRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t, testenv.RedisOptions{AppendFsync: "always"})
	suite(t, onRedis(t, server.Addr()), restarter(t, func() {
		server.Kill()
		server.Restart()
	}))
}

func TestWatermillsSuiteOnKafka(t *testing.T) {
	t.Parallel()
	server := testenv.StartKafka(t, testenv.KafkaOptions{})
	suite(t, onKafka(t, server.Brokers()), restarter(t, func() {
		server.Node(1).Stop()
		server.Node(1).Restart()
	}))
}

// suite is Watermill's own, on the façades of durable: once with members of one group that share the topics, once with
// subscribers that each have a group of their own and see everything.
func suite(t *testing.T, b durable.Backend, restart []string) {
	features := tests.Features{ConsumerGroups: true, GuaranteedOrder: true, Persistent: true}
	if !raceDetector {
		features.RestartServiceCommand = restart
	}
	inGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		return facades(t, b, group)
	}
	t.Run("Members", func(t *testing.T) {
		tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
			return facades(t, b, "members")
		}, inGroup)
	})
	t.Run("Readers", func(t *testing.T) {
		features.NewSubscriberReceivesOldMessages = true
		var readers atomic.Int64
		tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
			return facades(t, b, "reader-"+strconv.FormatInt(readers.Add(1), 10))
		}, inGroup)
	})
}

func facades(t *testing.T, backend durable.Backend, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	pub, err := durable.NewPublisher(backend, durable.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := durable.NewSubscriber(backend, durable.Group{Name: group}, durable.ProcessOptions{
		DrainTimeout: 100 * time.Millisecond, // the suite leaves messages unanswered in a hundred subscribers, one after the other
		Backoff:      func(int, error) time.Duration { return 10 * time.Millisecond },
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(t.Name(), "/TestReconnect/") {
		u := &unhurried{Publisher: pub, all: make(chan struct{})}
		return u, &unhurriedSubscriber{sub, u}
	}
	return pub, sub
}
