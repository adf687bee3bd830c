package watermilltests

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	// claimIdle is how long what a member of Watermill had read ahead when it left stays with it; longer than a machine
	// that is short of processor time has a member stand still.
	claimIdle = 6 * time.Second
	// soon is for what must come, on such a machine.
	soon = 3 * time.Minute
)

// original is Watermill's own publisher and subscribers of a group.
type original struct {
	pub message.Publisher
	sub func(group string) message.Subscriber
}

func originalRedis(t *testing.T, addr string) original {
	t.Helper()
	client := func() *redis.Client { return redis.NewClient(&redis.Options{Addr: addr}) } // each closes its own
	pub := must(redisstream.NewPublisher(redisstream.PublisherConfig{Client: client()}, watermill.NopLogger{}))(t)
	t.Cleanup(func() { _ = pub.Close() })
	return original{pub, func(group string) message.Subscriber {
		return must(redisstream.NewSubscriber(redisstream.SubscriberConfig{
			Client: client(), ConsumerGroup: group, DisableIndefiniteInitialBlock: true,
			MaxIdleTime: claimIdle, ClaimInterval: claimIdle / 4,
		}, watermill.NopLogger{}))(t)
	}}
}

func originalKafka(t *testing.T, brokers []string) original {
	t.Helper()
	pub := must(kafka.NewPublisher(kafka.PublisherConfig{Brokers: brokers}, watermill.NopLogger{}))(t)
	t.Cleanup(func() { _ = pub.Close() })
	return original{pub, func(group string) message.Subscriber {
		cfg := kafka.DefaultSaramaSubscriberConfig()
		cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
		return must(kafka.NewSubscriber(kafka.SubscriberConfig{
			Brokers: brokers, ConsumerGroup: group, OverwriteSaramaConfig: cfg,
		}, watermill.NopLogger{}))(t)
	}}
}

// A group goes from a program on Watermill's adapter to one on ours and back, while both publish: nothing is processed
// again, nothing is lost.
func TestAGroupMovesFromWatermillToUsAndBack(t *testing.T) {
	t.Parallel() // it waits for claimIdle
	t.Run("redis", func(t *testing.T) {
		addr := testenv.Redis(t)
		moves(t, onRedis(t, addr), originalRedis(t, addr), testenv.Name(t, "t"))
	})
	t.Run("kafka", func(t *testing.T) {
		brokers, topic := testenv.Kafka(t), testenv.Name(t, "t")
		b := onKafka(t, brokers)
		makeTopics(t, b, topic)
		moves(t, b, originalKafka(t, brokers), topic)
	})
}

func moves(t *testing.T, b durable.Backend, theirs original, topic string) {
	const each = 60
	group := testenv.Name(t, "g")
	var r record
	next := 0
	publish := func() { // by both, so that each reads what the other wrote
		ours := must(durable.NewPublisher(b, durable.PublisherOptions{}))(t)
		for range each {
			msg := message.NewMessage(strconv.Itoa(next), []byte("x"))
			pub := theirs.pub
			if next%2 == 0 {
				pub = ours
			}
			if err := pub.Publish(topic, msg); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	for round := range 2 {
		publish()
		r.watermill(t, theirs.sub(group), topic, r.len()+each/2) // leaves half of it
		publish()
		r.ours(t, b, group, topic, r.len()+each)
		if round == 0 {
			continue
		}
		r.watermill(t, theirs.sub(group), topic, next) // the rest
	}
	r.wantOnce(t, next)
}

// record is what was processed, in order.
type record struct {
	mu  sync.Mutex
	ids []string
}

func (r *record) add(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, id)
	return len(r.ids)
}

func (r *record) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

// watermill processes by Watermill's subscriber until n messages are in the record.
func (r *record) watermill(t *testing.T, sub message.Subscriber, topic string, n int) {
	t.Helper()
	messages := must(sub.Subscribe(t.Context(), topic))(t)
	timeout := time.After(soon)
	for r.len() < n {
		select {
		case msg := <-messages:
			r.add(msg.UUID)
			msg.Ack()
			select {
			case <-msg.Context().Done(): // Watermill has taken note
			case <-timeout:
				t.Fatal("an ack was not taken note of")
			}
		case <-timeout:
			t.Fatalf("Watermill got %d of %d", r.len(), n)
		}
	}
	if err := sub.Close(); err != nil {
		t.Fatal(err)
	}
}

// ours processes by the engine until n messages are in the record.
func (r *record) ours(t *testing.T, b durable.Backend, group, topic string, n int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	g := durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}
	err := durable.Process(ctx, b, g, func(msg *message.Message) error {
		if ctx.Err() != nil { // one more than was asked for
			return durable.Release(ctx.Err())
		}
		id := msg.UUID
		if id == "" { // of a program that knows nothing of Watermill
			id = string(msg.Payload)
		}
		if r.add(id) == n {
			stop()
		}
		return nil
	}, durable.ProcessOptions{Concurrency: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil || r.len() != n {
		t.Fatalf("we got %d of %d, %v", r.len(), n, err)
	}
}

func (r *record) wantOnce(t *testing.T, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Sorted(slices.Values(r.ids))
	if once := slices.Compact(slices.Clone(all)); len(all) != n || len(once) != n {
		t.Errorf("processed %d, %d different ones, want each of %d once", len(all), len(once), n)
	}
}

// Members of Watermill's and of ours share a group on Redis at the same time.
func TestMembersOfBothShareAGroupOnRedis(t *testing.T) {
	addr, topic, group := testenv.Redis(t), testenv.Name(t, "t"), testenv.Name(t, "g")
	b, theirs := onRedis(t, addr), originalRedis(t, addr)
	ctx, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	var r, fromThem record
	sub := theirs.sub(group)
	messages := must(sub.Subscribe(t.Context(), topic))(t)
	var both sync.WaitGroup
	both.Go(func() {
		for {
			select {
			case msg := <-messages:
				fromThem.add(msg.UUID)
				r.add(msg.UUID)
				msg.Ack()
			case <-ctx.Done():
				return
			}
		}
	})
	both.Go(func() {
		g := durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}
		err := durable.Process(ctx, b, g, func(msg *message.Message) error {
			r.add(msg.UUID)
			return nil
		}, durable.ProcessOptions{Concurrency: 1})
		if err != nil {
			t.Error(err)
		}
	})
	n := 0
	publish := func() {
		if err := theirs.pub.Publish(topic, message.NewMessage(strconv.Itoa(n), nil)); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for n < 300 {
		publish()
	}
	testenv.Await(t, soon, func() bool { // one of them may have come late
		publish()
		k := fromThem.len()
		return k > 0 && r.len() > k
	}, "both members get something")
	testenv.Await(t, soon, func() bool { return r.len() >= n }, "everything is processed")
	stop()
	both.Wait()
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	r.wantOnce(t, n)
}

// A message without anything of ours goes through the façades, and says what it is not.
func TestAMessageWithoutOurMetadataIsAMessage(t *testing.T) {
	addr, brokers := testenv.Redis(t), testenv.Kafka(t)
	for name, c := range map[string]struct {
		b      durable.Backend
		theirs original
	}{"redis": {onRedis(t, addr), originalRedis(t, addr)}, "kafka": {onKafka(t, brokers), originalKafka(t, brokers)}} {
		t.Run(name, func(t *testing.T) {
			topic := testenv.Name(t, "t")
			if name == "kafka" { // several partitions; on Redis a topic of others is one stream
				makeTopics(t, c.b, topic)
			}
			_, sub := facades(t, c.b, topic)
			messages := must(sub.Subscribe(t.Context(), topic))(t)
			bare := message.NewMessage("bare", nil)
			own := message.NewMessage("own", []byte("x"))
			own.Metadata.Set("theirs", "1")
			if err := c.theirs.pub.Publish(topic, bare, own); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				select {
				case msg := <-messages:
					if want := map[string]*message.Message{"bare": bare, "own": own}[msg.UUID]; want == nil || !msg.Equals(want) {
						t.Errorf("got %+v", msg)
					}
					if d, ok := durable.DeliveryOf(msg.Context()); !ok || d.DecodeErr != nil || d.Key != "" {
						t.Errorf("got delivery %+v, %v", d, ok)
					}
					if _, err := durable.EventOf(msg); err == nil {
						t.Error("what has no attributes is read as an event")
					}
					msg.Ack()
				case <-time.After(soon):
					t.Fatal("nothing came")
				}
			}
			if err := sub.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
