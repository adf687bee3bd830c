package redisstream

import (
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func BenchmarkRawPipeline100(b *testing.B) {
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(b)})
	defer func() { _ = client.Close() }()
	topic := testenv.Name(b, "t")
	msg := event(1)
	meta := appendMetadata(nil, msg.Metadata)
	b.ReportAllocs()
	for b.Loop() {
		p := client.Pipeline()
		for range 100 {
			p.XAdd(b.Context(), &redis.XAddArgs{Stream: topic, MaxLen: 1000, Approx: true, Values: []any{
				fieldUUID, msg.UUID, fieldMetadata, meta, fieldPayload, []byte(msg.Payload),
			}})
		}
		if _, err := p.Exec(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendOneBy64(b *testing.B) {
	backend := open(b, Config{Connection: Connection{Addr: testenv.Redis(b)}, MaxLen: 1000})
	topic := testenv.Name(b, "t")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		msgs := []*message.Message{event(1)}
		for pb.Next() {
			if _, err := backend.Append(b.Context(), topic, msgs...); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRawOneBy64(b *testing.B) {
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(b), PoolSize: 64})
	defer func() { _ = client.Close() }()
	topic := testenv.Name(b, "t")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		msg := event(1)
		meta := appendMetadata(nil, msg.Metadata)
		for pb.Next() {
			if err := client.XAdd(b.Context(), &redis.XAddArgs{Stream: topic, MaxLen: 1000, Approx: true, Values: []any{
				fieldUUID, msg.UUID, fieldMetadata, meta, fieldPayload, []byte(msg.Payload),
			}}).Err(); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkClusterAppend100(b *testing.B) {
	c := testenv.StartRedisCluster(b)
	backend := open(b, Config{Connection: onCluster(c), MaxLen: 1000})
	topic := testenv.Name(b, "t")
	if err := backend.CreateTopic(b.Context(), durable.TopicSpec{Name: topic, Partitions: 6}); err != nil {
		b.Fatal(err)
	}
	msgs := make([]*message.Message, 100)
	for i := range msgs {
		msgs[i] = event(i)
		msgs[i].Metadata.Set(durable.MetaPartitionKey, fmt.Sprint(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := backend.Append(b.Context(), topic, msgs...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkClusterRawPipeline100(b *testing.B) {
	c := testenv.StartRedisCluster(b)
	raw := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()})
	defer func() { _ = raw.Close() }()
	topic := testenv.Name(b, "t")
	values := []any{fieldUUID, durable.NewID(), "metadata", string(make([]byte, 64)), "payload", string(event(0).Payload)}
	b.ReportAllocs()
	for b.Loop() {
		pipe := raw.Pipeline()
		for i := range 100 {
			pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: streamKey(topic, i%6, 6), Values: values})
		}
		if _, err := pipe.Exec(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
