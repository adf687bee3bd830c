package watermillkafka_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/watermillkafka"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
	"github.com/dualstream/dualstream/realtime/realtimetest"
)

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }

func open(t testing.TB, cfg watermillkafka.Config) durable.Backend {
	t.Helper()
	cfg.Brokers = testenv.Kafka(t)
	b, err := watermillkafka.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newTopic returns once the topic can be read and written.
func newTopic(t testing.TB, partitions int) string {
	t.Helper()
	name := testenv.Name(t, "t")
	config := sarama.NewConfig()
	config.Admin.Timeout = time.Minute
	client, err := sarama.NewClient(testenv.Kafka(t), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	err = admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: -1}, false)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, time.Minute, func() bool {
		for p := range int32(partitions) {
			if _, err := client.GetOffset(name, p, sarama.OffsetNewest); err != nil {
				_ = client.RefreshMetadata(name)
				return false
			}
		}
		return true
	}, "leaders of "+name)
	return name
}

func TestConformance(t *testing.T) {
	durabletest.Run(t, durabletest.Harness{
		New:      func(t testing.TB) durable.Backend { return open(t, watermillkafka.Config{}) },
		NewTopic: newTopic,
	})
}

func TestRealtimeConformance(t *testing.T) {
	realtimetest.Run(t, realtimetest.Harness{New: func(t testing.TB) realtime.Backend {
		b, err := watermillkafka.OpenRealtime(t.Context(), watermillkafka.Config{Brokers: testenv.Kafka(t)}, newTopic(t, 3))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}})
}

// Members that come and go lose nothing and keep the order of each key.
func TestMembersKeepTheOrderOfKeys(t *testing.T) {
	const keys, each = 8, 25
	topic := newTopic(t, 4)
	b := open(t, watermillkafka.Config{})
	defer closeNow(t, b)
	var msgs []*message.Message
	for i := range keys * each {
		m := message.NewMessage(strconv.Itoa(i), nil)
		m.Metadata.Set(durable.MetaPartitionKey, strconv.Itoa(i%keys))
		msgs = append(msgs, m)
	}
	if _, err := b.Append(t.Context(), topic, msgs...); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	first := map[string][]int{} // first occurrences by key
	seen := map[string]bool{}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	handle := func(msg *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if n, err := strconv.Atoi(msg.UUID); err == nil && !seen[msg.UUID] {
			seen[msg.UUID] = true
			first[durable.Key(msg)] = append(first[durable.Key(msg)], n)
		}
		if len(seen) == keys*each {
			stop()
		}
		return nil
	}
	g := durable.Group{Name: topic, Topics: durable.Topics(topic)}
	var members sync.WaitGroup
	for range 2 {
		members.Go(func() {
			if err := durable.Process(ctx, b, g, handle, durable.ProcessOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	members.Wait()
	if len(seen) != keys*each {
		t.Fatalf("got %d of %d", len(seen), keys*each)
	}
	for key, ns := range first {
		if !slices.IsSorted(ns) {
			t.Errorf("key %s: got %v", key, ns)
		}
	}
}

// picky cannot read what bears its mark.
type picky struct{ kafka.DefaultMarshaler }

func (p picky) Unmarshal(rec *sarama.ConsumerMessage) (*message.Message, error) {
	if string(rec.Value) == "foreign" {
		return nil, errors.New("not mine")
	}
	return p.DefaultMarshaler.Unmarshal(rec)
}

func TestAForeignRecordNeverEndsASubscription(t *testing.T) {
	topic := newTopic(t, 1)
	b := open(t, watermillkafka.Config{Marshaler: picky{}})
	defer closeNow(t, b)
	if _, err := b.Append(t.Context(), topic, message.NewMessage("", []byte("foreign")), message.NewMessage("2", []byte("mine"))); err != nil {
		t.Fatal(err)
	}
	c, err := b.Consume(t.Context(), durable.Group{Name: topic, Topics: durable.Topics(topic)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, want := range []string{"foreign", "mine"} {
		ds, err := c.Fetch(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		d := ds[0]
		if string(d.Message.Payload) != want || (d.DecodeErr != nil) != (want == "foreign") || len(d.Message.Metadata) != 0 {
			t.Errorf("got %q with %v and metadata %v, want %q", d.Message.Payload, d.DecodeErr, d.Message.Metadata, want)
		}
		if err := c.Ack(ctx, d); err != nil {
			t.Error(err)
		}
	}
}

func TestAClusterThatIsNotThereIsUnavailable(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	quick := func(s *sarama.Config) { s.Metadata.Retry.Max, s.Net.DialTimeout = 0, time.Second }
	_, err := watermillkafka.Open(ctx, watermillkafka.Config{Brokers: []string{"127.0.0.1:1"}, Sarama: quick})
	if !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	for _, bad := range []watermillkafka.Config{
		{}, {Brokers: []string{"a:1"}, User: "me"}, {Brokers: []string{"a:1"}, Password: "x"}, {Brokers: []string{"a:1"}, MaxMessageBytes: -1},
	} {
		if _, err := watermillkafka.Open(ctx, bad); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", bad, err)
		}
	}
}

func closeNow(t *testing.T, b durable.Backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}
