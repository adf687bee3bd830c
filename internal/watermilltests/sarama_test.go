package watermilltests

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/internal/testenv"
)

// A group of a program on sarama alone goes on here where its offsets are, and the other way round.
func TestAGroupOfSaramaGoesOnHereAndBack(t *testing.T) {
	const each = 50
	brokers, topic, group := testenv.Kafka(t), testenv.Name(t, "t"), testenv.Name(t, "g")
	b := closed(t, must(kafka.Open(t.Context(), kafka.Config{Brokers: brokers, PlainRecords: true}))(t))
	makeTopics(t, b, topic)
	cfg := sarama.NewConfig()
	cfg.Version, cfg.Producer.Return.Successes, cfg.Consumer.Offsets.Initial = sarama.V2_8_0_0, true, sarama.OffsetOldest
	client := must(sarama.NewClient(brokers, cfg))(t)
	defer func() { _ = client.Close() }()
	producer := must(sarama.NewSyncProducerFromClient(client))(t)
	defer func() { _ = producer.Close() }()
	var r record
	next := 0
	publish := func() { // records without our headers: their key and value are all there is
		for range each {
			text := sarama.StringEncoder(strconv.Itoa(next))
			if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: text, Value: text}); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	publish()
	r.sarama(t, brokers, cfg, group, topic, each)
	publish()
	r.ours(t, b, group, topic, 2*each)
	publish()
	r.sarama(t, brokers, cfg, group, topic, 3*each)
	r.wantOnce(t, next)
}

// sarama processes by a group of sarama until n messages are in the record.
func (r *record) sarama(t *testing.T, brokers []string, cfg *sarama.Config, group, topic string, n int) {
	t.Helper()
	g := must(sarama.NewConsumerGroup(brokers, group, cfg))(t)
	h := &marking{r: r, n: n, all: make(chan struct{})}
	if r.len() < n {
		err := g.Consume(testContext(t, h.all), []string{topic}, h)
		if err := errors.Join(err, g.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if r.len() != n {
		t.Fatalf("sarama got %d of %d", r.len(), n)
	}
}

// marking is a handler that marks what it has noted.
type marking struct {
	r   *record
	n   int
	all chan struct{} // closed with the last one
}

func (*marking) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*marking) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *marking) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for rec := range claim.Messages() {
		n := h.r.add(string(rec.Value))
		s.MarkMessage(rec, "")
		if n == h.n {
			close(h.all)
		}
	}
	return nil
}

// testContext ends when all is closed, or after a while.
func testContext(t *testing.T, all <-chan struct{}) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	go func() {
		select {
		case <-all:
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx
}
