package kafka

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func headers(hs []*sarama.RecordHeader) map[string]string {
	out := map[string]string{}
	for _, h := range hs {
		out[string(h.Key)] = string(h.Value)
	}
	return out
}

func TestTheFormatIsTheOriginals(t *testing.T) {
	ev := durable.Event{
		Type: "order.created", SourceType: "order", SourceID: "7", Data: []byte("x"), ContentType: "text/plain",
		Metadata: map[string]string{"app": "1", "empty": ""},
	}
	event, err := ev.Message("")
	if err != nil {
		t.Fatal(err)
	}
	original := kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) { return durable.Key(m), nil })
	for _, msg := range []*message.Message{event, message.NewMessage("", nil), message.NewMessage("id", []byte{0, 255})} {
		want, err := original.Marshal("t", msg)
		if err != nil {
			t.Fatal(err)
		}
		var got sarama.Record
		arenaOf(msg).record(msg, &got)
		var wanted []*sarama.RecordHeader
		for i := range want.Headers {
			wanted = append(wanted, &want.Headers[i])
		}
		gotHeaders, wantHeaders := headers(got.Headers), headers(wanted)
		if !maps.Equal(gotHeaders, wantHeaders) || len(got.Headers) != len(want.Headers) || string(got.Headers[0].Key) != durable.MetaUUID {
			t.Errorf("headers: got %v, want %v", gotHeaders, wantHeaders)
		}
		if wantValue, _ := want.Value.Encode(); string(got.Value) != string(wantValue) {
			t.Errorf("value: got %q, want %q", got.Value, wantValue)
		}
		if key, _ := want.Key.Encode(); got.Key != nil && string(got.Key) != string(key) {
			t.Errorf("key: got %v, want %q", got.Key, key)
		}
		rec := &sarama.ConsumerMessage{Headers: got.Headers, Value: got.Value}
		back, err := original.Unmarshal(rec)
		ours, size := unmarshal(&sarama.Record{Headers: rec.Headers, Value: rec.Value}, new(strings.Builder))
		if size != durable.Size(ours) {
			t.Errorf("the size: got %d, want %d", size, durable.Size(ours))
		}
		if err != nil || !ours.Equals(back) || !back.Equals(msg) {
			t.Errorf("read back: got %v, %v, want %v", ours, err, back)
		}
	}
}

func TestWatermillReadsWhatWeAppend(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic := newTopic(t, b, 1)
	msg := events(1, oneKey)[0]
	mustAppend(t, b, topic, msg)
	conf := kafka.DefaultSaramaSubscriberConfig()
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	sub, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: testenv.Kafka(t), Unmarshaler: kafka.DefaultMarshaler{},
		OverwriteSaramaConfig: conf, ConsumerGroup: topic,
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Close() }()
	ch, err := sub.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	got := <-ch
	if !got.Equals(msg) {
		t.Errorf("got %v, want %v", got, msg)
	}
	got.Ack()
}

func TestWeReadWhatWatermillPublishes(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	pub, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: testenv.Kafka(t), Marshaler: kafka.DefaultMarshaler{}}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pub.Close() }()
	msg := events(1, oneKey)[0]
	if err := pub.Publish(topic, msg); err != nil {
		t.Fatal(err)
	}
	got := replayed(t, b, topic, durable.Range{})
	if len(got) != 1 || !got[0].Message.Equals(msg) || got[0].Key != "k" || got[0].DecodeErr != nil {
		t.Errorf("got %+v, want %v", got, msg)
	}
}

type picky struct{ kafka.DefaultMarshaler }

func (picky) Unmarshal(*sarama.ConsumerMessage) (*message.Message, error) {
	return nil, errors.New("not mine")
}

func TestWhatTheMarshalerRefusesIsDeliveredWithItsBytes(t *testing.T) {
	b := openOn(t, Config{Brokers: testenv.Kafka(t), Marshaler: picky{}})
	topic := newTopic(t, b, 1)
	msg := events(1, oneKey)[0]
	mustAppend(t, b, topic, msg)
	got := replayed(t, b, topic, durable.Range{})
	if len(got) != 1 || got[0].DecodeErr == nil || string(got[0].Message.Payload) != string(msg.Payload) || got[0].Key != "k" {
		t.Errorf("got %+v", got)
	}
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	if d := fetch(t, c, 1)[0]; d.DecodeErr == nil || string(d.Message.Payload) != string(msg.Payload) || d.Key != "k" {
		t.Errorf("a member got %+v", d)
	}
	mustAppend(t, b, topic, msg)
	if d := fetch(t, c, 1)[0]; d.DecodeErr == nil {
		t.Errorf("the member got %+v after that", d)
	}
}

func TestReplayEndsBehindATransactionalTail(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	conf := Config{}.filled().producer()
	conf.Producer.Transaction.ID = topic
	p, err := sarama.NewSyncProducer(testenv.Kafka(t), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for i, end := range []func() error{p.CommitTxn, p.AbortTxn, p.CommitTxn, p.AbortTxn} {
		if err := p.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		value := sarama.ByteEncoder{byte('0' + i)}
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: value}); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for _, r := range replayed(t, b, topic, durable.Range{}) {
		got += string(r.Message.Payload)
	}
	if got != "02" {
		t.Errorf("got %q, want the committed records 02", got)
	}
}

func arenaOf(msgs ...*message.Message) *arena {
	a, _, _ := newArena(msgs)
	return &a
}
