package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func benchMessages(b *testing.B, n int) []*message.Message {
	b.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		ev := durable.Event{Type: "order.created", SourceType: "order", SourceID: fmt.Sprint(i % 100), Data: make([]byte, 256)}
		m, err := ev.Message("")
		if err != nil {
			b.Fatal(err)
		}
		msgs[i] = m
	}
	return msgs
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			k := opened(b)
			topic := newTopic(b, k, 4)
			msgs := benchMessages(b, n)
			mustAppend(b, k, topic, msgs...)
			b.ReportAllocs()
			for b.Loop() {
				mustAppend(b, k, topic, msgs...)
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

func BenchmarkAppend64Callers(b *testing.B) {
	k := opened(b)
	topic := newTopic(b, k, 4)
	msgs := benchMessages(b, 1)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mustAppend(b, k, topic, msgs...)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkSarama is what Append is compared with: SendMessages of batches with two flush settings.
func BenchmarkSarama(b *testing.B) {
	tuned := func(s *sarama.Config) { s.Producer.Flush.Messages, s.Producer.Flush.Frequency = 100, 1e6 }
	for name, flush := range map[string]func(*sarama.Config){"default": func(*sarama.Config) {}, "tuned": tuned} {
		for _, n := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, n), func(b *testing.B) {
				topic := newTopic(b, opened(b), 4)
				conf := Config{Sarama: flush}.filled().producer()
				p, err := sarama.NewSyncProducer(testenv.Kafka(b), conf)
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = p.Close() }()
				msgs := benchMessages(b, n)
				b.ReportAllocs()
				for b.Loop() {
					out := make([]*sarama.ProducerMessage, n)
					a := arenaOf(msgs...)
					for i := range out {
						var rec sarama.Record
						a.record(msgs[i], &rec)
						out[i] = &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(rec.Key), Value: sarama.ByteEncoder(rec.Value)}
						for _, h := range rec.Headers {
							out[i].Headers = append(out[i].Headers, *h)
						}
					}
					if err := p.SendMessages(out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}

func BenchmarkFetch(b *testing.B) {
	k := opened(b)
	topic := newTopic(b, k, 4)
	msgs := benchMessages(b, 1000)
	for range max(1, b.N/1000) + 1 {
		mustAppend(b, k, topic, msgs...)
	}
	c := join(b, k, durable.Group{Name: testenv.Name(b, "g"), Topics: durable.Topics(topic)})
	defer closeNow(b, c)
	fetch(b, c, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 1; n < b.N; {
		ds, err := c.Fetch(b.Context(), 500)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Ack(b.Context(), ds...); err != nil {
			b.Fatal(err)
		}
		n += len(ds)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

type drain struct {
	want int
	stop func()
}

func (drain) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (drain) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (d drain) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	n := 0
	for m := range c.Messages() {
		if n++; n%500 == 0 || n == d.want {
			s.MarkMessage(m, "")
		}
		if n == d.want {
			d.stop()
			return nil
		}
	}
	return nil
}

// BenchmarkSaramaGroup is what Fetch is compared with: a group that decodes nothing, on one partition.
func BenchmarkSaramaGroup(b *testing.B) {
	k := opened(b)
	topic := newTopic(b, k, 1)
	msgs := benchMessages(b, 1000)
	for range b.N/1000 + 1 {
		mustAppend(b, k, topic, msgs...)
	}
	conf := k.cfg.member(durable.Group{})
	conf.Consumer.Return.Errors = false
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	g, err := sarama.NewConsumerGroup(testenv.Kafka(b), testenv.Name(b, "g"), conf)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	ctx, cancel := context.WithCancel(b.Context())
	b.ReportAllocs()
	b.ResetTimer()
	if err := g.Consume(ctx, []string{topic}, drain{b.N, cancel}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkDecode(b *testing.B) {
	msg := benchMessages(b, 1)[0]
	var stored sarama.Record
	arenaOf(msg).record(msg, &stored)
	stored.Key = []byte("0")
	k := &Backend{}
	b.ReportAllocs()
	for b.Loop() {
		k.decode("t", 0, rec{Record: &stored}, new(strings.Builder))
	}
}
