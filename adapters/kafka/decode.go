package kafka

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// decoded is a record as a message.
type decoded struct {
	msg *message.Message
	key string
	err error // why it is not a message of the configured format
}

func (b *Backend) decode(rec *sarama.ConsumerMessage) decoded {
	if b.cfg.Marshaler == nil {
		msg := unmarshal(rec)
		return decoded{msg: msg, key: recordKey(rec, msg)}
	}
	msg, err := b.cfg.Marshaler.Unmarshal(rec)
	if err != nil || msg == nil {
		raw := message.NewMessage("", rec.Value)
		return decoded{msg: raw, key: string(rec.Key), err: fmt.Errorf("kafka: unmarshal %s/%d:%d: %w", rec.Topic, rec.Partition, rec.Offset, orNil(err))}
	}
	return decoded{msg: msg, key: recordKey(rec, msg)}
}

func orNil(err error) error {
	if err == nil {
		return durable.Invalid("message", "nil", "the marshaler must return a message")
	}
	return err
}

// recordKey is the record's key, or the key of the message where the record has none.
func recordKey(rec *sarama.ConsumerMessage, msg *message.Message) string {
	key := durable.Key(msg)
	if len(rec.Key) == 0 || string(rec.Key) == key {
		return key
	}
	return string(rec.Key)
}

// unmarshal reads what watermill-kafka's DefaultMarshaler wrote. The values of all headers share one allocation.
func unmarshal(rec *sarama.ConsumerMessage) *message.Message {
	n := 0
	for _, h := range rec.Headers {
		n += len(h.Value)
	}
	var values strings.Builder
	values.Grow(n)
	for _, h := range rec.Headers {
		values.Write(h.Value)
	}
	all, uuid := values.String(), ""
	meta := make(message.Metadata, len(rec.Headers))
	for _, h := range rec.Headers {
		value := all[:len(h.Value)]
		all = all[len(h.Value):]
		if string(h.Key) == durable.MetaUUID {
			uuid = value
			continue
		}
		meta[headerName(h.Key)] = value
	}
	msg := message.NewMessage(uuid, rec.Value)
	msg.Metadata = meta
	return msg
}

// headerName is string(b), without an allocation for the names that nearly every record has.
func headerName(b []byte) string {
	switch string(b) {
	case durable.MetaSpecVersion:
		return durable.MetaSpecVersion
	case durable.MetaID:
		return durable.MetaID
	case durable.MetaType:
		return durable.MetaType
	case durable.MetaSource:
		return durable.MetaSource
	case durable.MetaSubject:
		return durable.MetaSubject
	case durable.MetaTime:
		return durable.MetaTime
	case durable.MetaPartitionKey:
		return durable.MetaPartitionKey
	case durable.MetaContentType:
		return durable.MetaContentType
	case "traceparent":
		return "traceparent"
	case "tracestate":
		return "tracestate"
	case "baggage":
		return "baggage"
	}
	return string(b)
}
