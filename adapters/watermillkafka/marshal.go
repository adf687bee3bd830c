package watermillkafka

import (
	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/watermillkit"
)

// keyed gives the records of a marshaler a key; a message without one goes to any partition.
type keyed struct {
	kafka.DefaultMarshaler
	key func(*message.Message) string
}

// Marshal implements kafka.Marshaler.
func (k keyed) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	out, err := k.DefaultMarshaler.Marshal(topic, msg)
	if err != nil {
		return nil, err
	}
	if key := k.key(msg); key != "" {
		out.Key = sarama.StringEncoder(key)
	}
	return out, nil
}

// tolerant makes what cannot be read a message that says so.
type tolerant struct{ kafka.Unmarshaler }

// Unmarshal implements kafka.Unmarshaler.
func (t tolerant) Unmarshal(rec *sarama.ConsumerMessage) (*message.Message, error) {
	msg, err := t.Unmarshaler.Unmarshal(rec)
	if err != nil {
		return watermillkit.Undecodable(rec.Value, err), nil
	}
	return msg, nil
}
