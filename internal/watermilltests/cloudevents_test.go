package watermilltests

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/client"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// The SDK of CloudEvents for Go reads both encodings from Kafka, and we read both from it.
func TestTheCloudEventsSDKReadsWhatWeWrite(t *testing.T) {
	brokers, topic := testenv.Kafka(t), testenv.Name(t, "ce")
	b := onKafka(t, brokers)
	makeTopics(t, b, topic)
	structured := middleware.WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		encoded, err := durable.AllStructured(topic, msgs)
		if err != nil {
			return make([]durable.Position, len(msgs)), err
		}
		return b.Append(ctx, topic, encoded...)
	})
	want := map[string]durable.Event{}
	for i, e := range []struct {
		data, media string
	}{{`{"n":1}`, "application/json"}, {"plain text", "text/plain"}, {`{"n":2}`, "application/json"}, {"\x00\xff", "application/octet-stream"}} {
		ev := durable.Event{
			Type: "order.created", SourceType: "order", SourceID: strconv.Itoa(i), Data: []byte(e.data), ContentType: e.media,
			Metadata: map[string]string{"tenant": "t"},
		}.Fill()
		want[ev.ID] = ev
		msg, err := ev.Message("")
		if err != nil {
			t.Fatal(err)
		}
		to := b
		if i >= 2 {
			to = structured
		}
		if _, err := to.Append(t.Context(), topic, msg); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range sdkReads(t, brokers, topic, len(want)) {
		w, ok := want[e.ID()]
		if !ok || e.Type() != w.Type || e.Source() != "/"+w.SourceType || e.Subject() != w.SourceID || !e.Time().Equal(w.Time) ||
			e.DataContentType() != w.ContentType || string(e.Data()) != string(w.Data) || e.Extensions()["partitionkey"] != w.SourceID {
			t.Errorf("the SDK got %s, want %+v", e, w)
		}
	}
}

// sdkReads is n events as the SDK's client receives them.
func sdkReads(t *testing.T, brokers []string, topic string, n int) []cloudevents.Event {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version, cfg.Consumer.Offsets.Initial = sarama.V2_8_0_0, sarama.OffsetOldest
	consumer, err := kafka_sarama.NewConsumer(brokers, cfg, "sdk-"+topic, topic)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := cloudevents.NewClient(consumer, client.WithPollGoroutines(1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	var mu sync.Mutex
	var events []cloudevents.Event
	err = receiver.StartReceiver(ctx, func(e cloudevents.Event) {
		mu.Lock()
		defer mu.Unlock()
		if events = append(events, e); len(events) == n {
			stop()
		}
	})
	if err := errors.Join(err, consumer.Close(context.Background())); err != nil && len(events) < n {
		t.Fatal(err)
	}
	if len(events) != n {
		t.Fatalf("the SDK got %d of %d events", len(events), n)
	}
	return events
}

func TestWeReadWhatTheCloudEventsSDKWrites(t *testing.T) {
	brokers, topic := testenv.Kafka(t), testenv.Name(t, "ce")
	b := onKafka(t, brokers)
	makeTopics(t, b, topic)
	cfg := sarama.NewConfig()
	cfg.Version, cfg.Producer.Return.Successes = sarama.V2_8_0_0, true
	sender, err := kafka_sarama.NewSender(brokers, cfg, topic)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cloudevents.NewClient(sender)
	if err != nil {
		t.Fatal(err)
	}
	for id, ctx := range map[string]context.Context{
		"binary": cloudevents.WithEncodingBinary(t.Context()), "structured": cloudevents.WithEncodingStructured(t.Context()),
	} {
		e := cloudevents.NewEvent()
		e.SetID(id)
		e.SetType("order.created")
		e.SetSource("/order")
		e.SetSubject("42")
		e.SetTime(time.Unix(1, 0))
		if err := e.SetData("application/json", map[string]int{"n": 1}); err != nil {
			t.Fatal(err)
		}
		if result := c.Send(ctx, e); cloudevents.IsUndelivered(result) {
			t.Fatal(result)
		}
	}
	if err := sender.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for rec, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := durable.EventOf(rec.Message)
		if err != nil || e.Type != "order.created" || e.SourceType != "order" || e.SourceID != "42" || !e.Time.Equal(time.Unix(1, 0)) ||
			e.ContentType != "application/json" || string(e.Data) != `{"n":1}` {
			t.Errorf("got %+v, %v", e, err)
		}
		seen[e.ID] = true
	}
	if len(seen) != 2 {
		t.Errorf("got %v, want both encodings", seen)
	}
}

func makeTopics(t *testing.T, b durable.Backend, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2})
		if err != nil && !errors.Is(err, durable.ErrTopicExists) {
			t.Fatal(err)
		}
	}
}
