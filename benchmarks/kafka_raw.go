package main

import (
	"context"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// flush is when sarama's producer sends what it has collected for a broker; the zero value is its default.
type flush struct {
	messages  int
	frequency time.Duration
}

// rawConfig is as durable as the adapter's: acknowledged by all replicas, idempotent.
func rawConfig(f flush) *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_9_0_0
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent = true
	cfg.Net.MaxOpenRequests = 1 // what sarama demands of an idempotent producer
	cfg.Producer.Return.Successes = true
	cfg.Producer.Partitioner = sarama.NewMurmur2Partitioner
	cfg.Producer.Flush.Messages = f.messages
	cfg.Producer.Flush.Frequency = f.frequency
	return cfg
}

// rawRecord is what does not change of a message, encoded before.
type rawRecord struct {
	key, value sarama.Encoder
	headers    []sarama.RecordHeader
}

func rawRecords(p pool) []rawRecord {
	out := make([]rawRecord, len(p.messages))
	for i, m := range p.messages {
		out[i].key = sarama.StringEncoder(durable.Key(m))
		out[i].value = sarama.ByteEncoder(m.Payload)
		out[i].headers = []sarama.RecordHeader{{Key: []byte(durable.MetaUUID), Value: []byte(m.UUID)}}
		for k, v := range m.Metadata {
			out[i].headers = append(out[i].headers, sarama.RecordHeader{Key: []byte(k), Value: []byte(v)})
		}
	}
	return out
}

func (r rawRecord) to(topic string) sarama.ProducerMessage {
	return sarama.ProducerMessage{Topic: topic, Key: r.key, Value: r.value, Headers: r.headers}
}

// rawKafka appends with sarama's SyncProducer: SendMessages for a batch, SendMessage for one.
func rawKafka(open func(*lab) (*cluster, error), f flush) appender {
	return func(_ context.Context, l *lab) (store, appendFunc, error) {
		c, err := open(l)
		if err != nil {
			return nil, nil, err
		}
		cfg := rawConfig(f)
		cfg.Net.TLS.Enable, cfg.Net.TLS.Config = c.tls != nil, c.tls
		producer, err := sarama.NewSyncProducer(c.dial, cfg)
		if err != nil {
			return nil, nil, err
		}
		l.after(producer.Close)
		records := rawRecords(newPool())
		return c, func(_ context.Context, topic string, done int64, n int) error {
			if n > 1 {
				return sendAll(producer, topic, window(records, done, n))
			}
			m := window(records, done, 1)[0].to(topic)
			_, _, err := producer.SendMessage(&m)
			return err
		}, nil
	}
}

// sendAll sends records and returns when all are acknowledged.
func sendAll(producer sarama.SyncProducer, topic string, records []rawRecord) error {
	messages := make([]sarama.ProducerMessage, len(records))
	refs := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		messages[i] = r.to(topic)
		refs[i] = &messages[i]
	}
	return producer.SendMessages(refs)
}
