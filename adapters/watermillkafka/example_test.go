package watermillkafka_test

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/watermillkafka"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// exampleTopic is a topic with one partition, which yours are made by the tools of your cluster.
func exampleTopic(brokers []string) (string, error) {
	config := sarama.NewConfig()
	config.Admin.Timeout = time.Minute
	admin, err := sarama.NewClusterAdmin(brokers, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = admin.Close() }()
	name := "example-" + durable.NewID()
	return name, admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1}, false)
}

func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	brokers, release, err := testenv.SharedKafka(ctx) // those of a test; yours are such as "kafka:9092"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	topic, err := exampleTopic(brokers)
	if err != nil {
		fmt.Println(err)
		return
	}
	backend, err := watermillkafka.Open(ctx, watermillkafka.Config{Brokers: brokers})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()
	msg, err := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = backend.Append(ctx, topic, msg)
	fmt.Println(err, backend.Capabilities().Backend)
	// Output: <nil> watermill-kafka
}

func ExampleOpenRealtime() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	brokers, release, err := testenv.SharedKafka(ctx) // those of a test; yours are such as "kafka:9092"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	topic, err := exampleTopic(brokers)
	if err != nil {
		fmt.Println(err)
		return
	}
	bus, err := watermillkafka.OpenRealtime(ctx, watermillkafka.Config{Brokers: brokers}, topic)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = bus.Close(ctx) }()
	live, err := bus.Subscribe(ctx, realtime.Channel("order", "42"))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = bus.Notify(ctx, realtime.Notification{Channel: realtime.Channel("order", "42"), ID: "7", Type: "order.created", SourceType: "order", SourceID: "42"})
	if err != nil {
		fmt.Println(err)
		return
	}
	signal, err := live.Next(ctx)
	fmt.Println(signal.Notification.Type, err, live.Close())
	// Output: order.created <nil> <nil>
}
