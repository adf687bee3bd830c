package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// plainly writes records to partition 0 of topic with a client that knows nothing of this package.
func plainly(t testing.TB, topic string, recs ...*sarama.ProducerMessage) {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version, conf.Producer.Return.Successes, conf.Producer.Partitioner = sarama.V2_8_0_0, true, sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer(testenv.Kafka(t), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for _, r := range recs {
		r.Topic = topic
		if _, _, err := p.SendMessage(r); err != nil {
			t.Fatal(err)
		}
	}
}

// bytesOfOthers is no text in any encoding.
const bytesOfOthers = "\xff\x00\xfe plain \x80"

// mixed is a topic of one partition with a good message, a bare record, a tombstone, a record with headers of others and
// a good message.
func mixed(t testing.TB, b *Backend) (topic string, good []*message.Message) {
	t.Helper()
	topic, good = newTopic(t, b, 1), events(2, oneKey)
	mustAppend(t, b, topic, good[0])
	plainly(t, topic,
		&sarama.ProducerMessage{Key: sarama.StringEncoder("theirs"), Value: sarama.StringEncoder(bytesOfOthers)},
		&sarama.ProducerMessage{Key: sarama.StringEncoder("gone")},
		&sarama.ProducerMessage{Value: sarama.StringEncoder("{}"), Headers: []sarama.RecordHeader{{Key: []byte("ce_id"), Value: []byte("7")}}})
	mustAppend(t, b, topic, good[1])
	return topic, good
}

// seen is what a reader is given of a record.
type seen struct {
	key, payload, uuid string
	meta               int
	err                error
}

func seenOf(key string, m *message.Message, err error) seen {
	return seen{key, string(m.Payload), m.UUID, len(m.Metadata), err}
}

// wantMixed looks at what a reader of mixed got.
func wantMixed(t *testing.T, got []seen, good []*message.Message, plain bool) {
	t.Helper()
	want := []seen{
		seenOf("k", good[0], nil), {key: "theirs", payload: bytesOfOthers}, {key: "gone"}, {payload: "{}", meta: 1}, seenOf("k", good[1], nil),
	}
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i, g := range got {
		foreign := !plain && (i == 1 || i == 2)
		if (g.err != nil) != foreign {
			t.Errorf("record %d: got DecodeErr %v, want one: %t", i, g.err, foreign)
		}
		if g.err != nil {
			for _, word := range []string{fmt.Sprintf("/0:%d", i), "no headers", "another client", "plain_records: true", "marshaler of your own"} {
				if !strings.Contains(g.err.Error(), word) {
					t.Errorf("record %d: the error %q does not say %q", i, g.err, word)
				}
			}
		}
		if g.err = nil; g != want[i] {
			t.Errorf("record %d: got %+v, want %+v", i, g, want[i])
		}
	}
}

func TestABareRecordIsAForeignEntryUnlessPlainRecordsSays(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		b := openOn(t, Config{Brokers: testenv.Kafka(t), PlainRecords: plain})
		topic, good := mixed(t, b)
		var replay, member []seen
		for _, r := range replayed(t, b, topic, durable.Range{}) {
			replay = append(replay, seenOf(r.Key, r.Message, r.DecodeErr))
		}
		wantMixed(t, replay, good, plain)
		g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
		c := join(t, b, g)
		ds := fetch(t, c, 5)
		for _, d := range ds {
			member = append(member, seenOf(d.Key, d.Message, d.DecodeErr))
			if d.Size != durable.Size(d.Message) {
				t.Errorf("%s: got size %d, want %d", d.Position, d.Size, durable.Size(d.Message))
			}
		}
		wantMixed(t, member, good, plain)
		if err := c.Ack(t.Context(), ds...); err != nil {
			t.Error(err)
		}
		mustAppend(t, b, topic, events(1, oneKey)...)
		if d := fetch(t, c, 1)[0]; string(bare(d.Position)) != "0:5" || d.DecodeErr != nil {
			t.Errorf("after them: got %s, %v", d.Position, d.DecodeErr)
		}
		closeNow(t, c)
	}
}

// handled runs h until n deliveries of topic are acknowledged.
func handled(t *testing.T, b *Backend, topic string, n int, h message.NoPublishHandlerFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	monitor, ended := new(durable.Monitor), make(chan error, 1)
	go func() {
		g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
		ended <- durable.Process(ctx, b, g, h, durable.ProcessOptions{Monitor: monitor, Logger: new(journal).logger()})
	}()
	testenv.Await(t, soon, func() bool { return monitor.Stats().Total().Acked >= uint64(n) }, "all is acknowledged")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
}

// told is what a handler was given.
type told struct {
	mu   sync.Mutex
	seen []seen
}

func (h *told) handle(msg *message.Message) error {
	d, _ := durable.DeliveryOf(msg.Context())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, seenOf(d.Key, msg, d.DecodeErr))
	return nil
}

// inOrder is what was handled, by the place in mixed: different keys run side by side.
func (h *told) inOrder(good []*message.Message) []seen {
	order := []string{string(good[0].Payload), bytesOfOthers, "", "{}", string(good[1].Payload)}
	out := slices.Clone(h.seen)
	slices.SortStableFunc(out, func(a, b seen) int { return slices.Index(order, a.payload) - slices.Index(order, b.payload) })
	return out
}

func TestWithoutAPoisonQueueTheHandlerIsGivenBareRecords(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		b := openOn(t, Config{Brokers: testenv.Kafka(t), PlainRecords: plain})
		topic, good := mixed(t, b)
		var h told
		handled(t, b, topic, 5, h.handle)
		wantMixed(t, h.inOrder(good), good, plain)
	}
}

func TestBareRecordsGoToThePoisonQueueByteForByte(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		b := openOn(t, Config{Brokers: testenv.Kafka(t), PlainRecords: plain})
		topic, good := mixed(t, b)
		poison := topic + ".poison"
		if err := b.CreateTopic(t.Context(), durable.TopicSpec{Name: poison, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		chain, err := middleware.NewChain(
			&middleware.Poison{Backend: b, Logger: b.cfg.Logger}, middleware.Retry{Initial: time.Millisecond, Max: time.Millisecond},
			&middleware.Dedupe{Logger: b.cfg.Logger})
		if err != nil {
			t.Fatal(err)
		}
		var h told
		handled(t, b, topic, 5, chain.Handler(func(msg *message.Message) ([]*message.Message, error) { return nil, h.handle(msg) }))
		poisoned := replayed(t, b, poison, durable.Range{})
		if plain {
			if wantMixed(t, h.inOrder(good), good, true); len(poisoned) != 0 {
				t.Errorf("poisoned %d records, want none", len(poisoned))
			}
			continue
		}
		if len(h.seen) != 3 || len(poisoned) != 2 {
			t.Fatalf("handled %d and poisoned %d records, want 3 and 2", len(h.seen), len(poisoned))
		}
		for _, r := range poisoned {
			want := map[string]string{"theirs": bytesOfOthers, "gone": ""}
			if payload, ok := want[r.Key]; !ok || string(r.Message.Payload) != payload || r.DecodeErr != nil ||
				r.Message.Metadata[middleware.MetaPoisonClass] != middleware.ReasonUndecodable {
				t.Errorf("key %q: got %q, %v, %v", r.Key, r.Message.Payload, r.Message.Metadata, r.DecodeErr)
			}
		}
	}
}

func TestAMarshalerDecidesAboutBareRecordsItself(t *testing.T) {
	t.Parallel()
	b := openOn(t, Config{Brokers: testenv.Kafka(t), Marshaler: rawValue{}})
	topic := newTopic(t, b, 1)
	plainly(t, topic, &sarama.ProducerMessage{Value: sarama.StringEncoder(bytesOfOthers)}, &sarama.ProducerMessage{Key: sarama.StringEncoder("k")})
	got := replayed(t, b, topic, durable.Range{})
	if len(got) != 2 || got[0].DecodeErr != nil || got[0].Message.UUID != "raw" || string(got[0].Message.Payload) != bytesOfOthers ||
		got[1].DecodeErr != nil || got[1].Key != "k" || len(got[1].Message.Payload) != 0 {
		t.Errorf("got %+v", got)
	}
}

// rawValue is a marshaler of records that are values alone.
type rawValue struct{}

func (rawValue) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	return &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(msg.Payload)}, nil
}

func (rawValue) Unmarshal(rec *sarama.ConsumerMessage) (*message.Message, error) {
	return message.NewMessage("raw", rec.Value), nil
}
