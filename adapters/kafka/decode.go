package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// decoded is a record as a message.
type decoded struct {
	msg  *message.Message
	key  string
	size int   // as durable.Size says; 0 where it was not counted
	err  error // why it is not a message of the configured format
}

// decode reads r. The values of its headers become part of values, which has room for them.
func (b *Backend) decode(topic string, partition int32, r rec, values *strings.Builder) decoded {
	if b.cfg.Marshaler == nil {
		if len(r.Headers) == 0 && !b.cfg.PlainRecords {
			return foreign(topic, partition, r, errNoHeaders)
		}
		msg, size := unmarshal(r.Record, values)
		return decoded{msg: msg, key: recordKey(r.Key, msg), size: size}
	}
	msg, err := b.cfg.Marshaler.Unmarshal(&sarama.ConsumerMessage{
		Headers: r.Headers, Timestamp: r.at, Key: own(r.Key), Value: own(r.Value), Topic: topic, Partition: partition, Offset: r.offset,
	})
	if err != nil || msg == nil {
		return foreign(topic, partition, r, orNil(err))
	}
	return decoded{msg: msg, key: recordKey(r.Key, msg)}
}

// errNoHeaders is why a record is no message: what watermill-kafka and this package write has one header at least.
var errNoHeaders = errors.New("the record has no headers, another client wrote it: set plain_records: true (Config.PlainRecords), or use a marshaler of your own")

// foreign is r as it is, which is no message for the reason why.
func foreign(topic string, partition int32, r rec, why error) decoded {
	return decoded{
		msg: message.NewMessage("", own(r.Value)), key: string(r.Key), size: len(r.Value),
		err: fmt.Errorf("kafka: unmarshal %s/%d:%d: %w", topic, partition, r.offset, why),
	}
}

func orNil(err error) error {
	if err == nil {
		return durable.Invalid("message", "nil", "the marshaler must return a message")
	}
	return err
}

// recordKey is the record's key, or the key of the message where the record has none.
func recordKey(raw []byte, msg *message.Message) string {
	key := durable.Key(msg)
	if len(raw) == 0 || string(raw) == key {
		return key
	}
	return string(raw)
}

// smallMap is how many entries an empty map takes in one allocation.
const smallMap = 8

// headerBytes is how long the values of the headers of recs are.
func headerBytes(recs []rec) (n int) {
	for i := range recs {
		for _, h := range recs[i].Headers {
			n += len(h.Value)
		}
	}
	return n
}

// own is b without room behind it: there is the next record of the response, which an append would write over.
func own(b []byte) []byte { return b[:len(b):len(b)] }

// unmarshal reads what watermill-kafka's DefaultMarshaler wrote, and tells the size of the message.
func unmarshal(rec *sarama.Record, values *strings.Builder) (msg *message.Message, size int) {
	start := values.Len()
	for _, h := range rec.Headers {
		values.Write(h.Value)
	}
	all := values.String()[start:]
	size = len(all) + len(rec.Value)
	msg = message.NewMessage("", own(rec.Value))
	if len(rec.Headers) > smallMap {
		msg.Metadata = make(message.Metadata, len(rec.Headers))
	}
	for _, h := range rec.Headers {
		value := all[:len(h.Value)]
		all = all[len(h.Value):]
		if string(h.Key) == durable.MetaUUID {
			msg.UUID = value
			continue
		}
		size += len(h.Key)
		msg.Metadata[headerName(h.Key)] = value
	}
	return msg, size
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
