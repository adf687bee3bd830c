package redisdedupe_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

const (
	crashBackend = "DEDUPE_TEST_BACKEND"
	crashBroker  = "DEDUPE_TEST_BROKER"
	crashTopic   = "DEDUPE_TEST_TOPIC"

	crashEvents = 10
	hangsAt     = "e4" // is being handled when its process is killed; those before it are remembered, not acknowledged
)

// The leases of members: of the process that is killed, which is soon known to be dead, and of the one that follows, which
// keeps what it has where the machine stands still for a while. A Kafka session lasts three times as long.
const (
	shortLease = 2 * time.Second
	longLease  = 15 * time.Second
)

// openBroker opens a backend whose members have that lease.
func openBroker(kind, addr string, lease time.Duration) (durable.Backend, error) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	if kind == "kafka" {
		return kafka.Open(context.Background(), kafka.Config{Brokers: strings.Split(addr, ","), SessionTimeout: 3 * lease, Logger: logger})
	}
	return redisstream.Open(context.Background(), redisstream.Config{
		Connection: redisstream.Connection{Addr: addr}, LeaseTTL: lease, Logger: logger,
	})
}

// processing is durable.Process of the topic in group g, one event after the other, acknowledging nothing before its end.
func processing(ctx context.Context, b durable.Backend, topic string, d *middleware.Dedupe, h message.HandlerFunc, m *durable.Monitor) error {
	h = d.Middleware(h)
	return durable.Process(ctx, b, durable.Group{Name: "g-" + topic, Topics: durable.Topics(topic)},
		func(msg *message.Message) error { _, err := h(msg); return err },
		durable.ProcessOptions{Concurrency: 1, AckInterval: time.Hour, Monitor: m, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// processAndHang is another process: it handles events until one at which it hangs.
func processAndHang() {
	cfg := at(os.Getenv(crashAddr))
	cfg.Prefix = os.Getenv(crashPrefix)
	s, err := redisdedupe.Open(context.Background(), cfg)
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	b, err := openBroker(os.Getenv(crashBackend), os.Getenv(crashBroker), shortLease)
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	d := &middleware.Dedupe{Store: s, Lease: crashLease}
	fmt.Println("ended", processing(context.Background(), b, os.Getenv(crashTopic), d, func(msg *message.Message) ([]*message.Message, error) {
		id := msg.Metadata[durable.MetaID]
		if id == hangsAt {
			fmt.Println("hangs")
			select {}
		}
		fmt.Println("handled", id)
		return nil, nil
	}, nil))
}

func TestAProcessKilledBetweenReservationAndConfirmationIsFollowedByOneThatHandlesTheRest(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"redis", "kafka"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := at(testenv.Redis(t))
			cfg.Prefix = testenv.Name(t, "dedupe:")
			broker := cfg.Addr
			if kind == "kafka" {
				broker = strings.Join(testenv.Kafka(t), ",")
			}
			b, err := openBroker(kind, broker, longLease)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			topic := testenv.Name(t, "dedupe")
			fill(t, b, topic)
			p := testenv.Reexec(t, "process", crashAddr+"="+cfg.Addr, crashPrefix+"="+cfg.Prefix,
				crashBackend+"="+kind, crashBroker+"="+broker, crashTopic+"="+topic)
			p.AwaitLine(time.Minute, "hangs")
			p.Kill()

			var mu sync.Mutex
			var got []string
			monitor := new(durable.Monitor)
			d := &middleware.Dedupe{Store: open(t, cfg), Lease: crashLease, BusyPause: 20 * time.Millisecond}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- processing(ctx, b, topic, d, func(msg *message.Message) ([]*message.Message, error) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, msg.Metadata[durable.MetaID])
					return nil, nil
				}, monitor)
			}()
			testenv.Await(t, 2*time.Minute, func() bool { return monitor.Stats().Total().Acked == crashEvents }, "all are acknowledged")
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Process: got %v, want nil", err)
			}
			if want := []string{"e4", "e5", "e6", "e7", "e8", "e9"}; !slices.Equal(got, want) {
				t.Errorf("handled %v after the crash, want %v", got, want)
			}
			if n := d.Stats().Duplicates; n != 4 {
				t.Errorf("%d events were known to be handled, want the 4 of before the crash", n)
			}
		})
	}
}

// fill stores crashEvents events of one key.
func fill(t *testing.T, b durable.Backend, topic string) {
	t.Helper()
	if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range crashEvents {
		msg, err := durable.Event{ID: fmt.Sprint("e", i), Type: "x", SourceType: "s", SourceID: "1"}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Append(t.Context(), topic, msg); err != nil {
			t.Fatal(err)
		}
	}
}
