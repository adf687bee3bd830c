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

// flushOf is sarama's best setting for calls of n messages.
func flushOf(n int) flush { return flush{messages: n, frequency: 5 * time.Millisecond} }

// flushCallers is sarama's best setting for many callers of one message each.
var flushCallers = flush{messages: 64, frequency: time.Millisecond}

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

// rawProducer is sarama's SyncProducer with messages to send.
type rawProducer struct {
	sarama.SyncProducer
	c       *cluster
	records []rawRecord
}

func newRawProducer(l *lab, open func(*lab) (*cluster, error), f flush) (*rawProducer, error) {
	c, err := open(l)
	if err != nil {
		return nil, err
	}
	p, err := sarama.NewSyncProducer(c.brokers, rawConfig(f))
	if err != nil {
		return nil, err
	}
	l.after(p.Close)
	return &rawProducer{SyncProducer: p, c: c, records: rawRecords(newPool())}, nil
}

// batch sends records and returns when all are acknowledged.
func (p *rawProducer) batch(topic string, records []rawRecord) error {
	messages := make([]sarama.ProducerMessage, len(records))
	refs := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		messages[i] = r.to(topic)
		refs[i] = &messages[i]
	}
	return p.SendMessages(refs)
}

func (p *rawProducer) one(topic string, done int64) error {
	m := window(p.records, done, 1)[0].to(topic)
	_, _, err := p.SendMessage(&m)
	return err
}

// rawKafkaBatch sends batches of n, one after the other.
func rawKafkaBatch(open func(*lab) (*cluster, error), n int, f flush) func(context.Context, *lab) (turn, error) {
	return rawKafka(open, f, func(ctx context.Context, dur time.Duration, p *rawProducer, topic string) (sample, error) {
		return inBatches(ctx, dur, n, func(done int64) error { return p.batch(topic, window(p.records, done, n)) })
	})
}

// rawKafkaCallers sends single messages from many goroutines.
func rawKafkaCallers(open func(*lab) (*cluster, error), callers int, f flush) func(context.Context, *lab) (turn, error) {
	return rawKafka(open, f, func(ctx context.Context, dur time.Duration, p *rawProducer, topic string) (sample, error) {
		return fromCallers(ctx, dur, callers, func(done int64) error { return p.one(topic, done) })
	})
}

// rawKafkaLone sends single messages from one goroutine.
func rawKafkaLone(open func(*lab) (*cluster, error)) func(context.Context, *lab) (turn, error) {
	return rawKafka(open, flush{}, func(ctx context.Context, dur time.Duration, p *rawProducer, topic string) (sample, error) {
		return alone(ctx, dur, 1, func(done int64) error { return p.one(topic, done) })
	})
}

type rawLoop func(ctx context.Context, dur time.Duration, p *rawProducer, topic string) (sample, error)

func rawKafka(open func(*lab) (*cluster, error), f flush, loop rawLoop) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		p, err := newRawProducer(l, open, f)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return p.c.appended(ctx, func(topic string) (sample, error) { return loop(ctx, dur, p, topic) })
		}, nil
	}
}
