package adapters_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// Both sides of a file stand on Watermill's adapters.
func TestWatermillsAdaptersAreBackendsOfAFile(t *testing.T) {
	t.Run("watermill-redisstream", func(t *testing.T) {
		throughAFile(t, "watermill-redisstream", "addrs: [ '"+testenv.Redis(t)+"' ]", testenv.Name(t, "t"), testenv.Name(t, "bus"))
	})
	t.Run("watermill-kafka", func(t *testing.T) {
		brokers, topic, bus := testenv.Kafka(t), testenv.Name(t, "t"), testenv.Name(t, "bus")
		b, err := kafka.Open(t.Context(), kafka.Config{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{topic, bus} {
			err = errors.Join(err, b.CreateTopic(t.Context(), durable.TopicSpec{Name: name}))
		}
		if err := errors.Join(err, b.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		throughAFile(t, "watermill-kafka", "brokers: [ '"+brokers[0]+"' ]", topic, bus)
	})
}

func throughAFile(t *testing.T, name, at, topic, bus string) {
	t.Helper()
	text := fmt.Sprintf("durable: { backend: %s, %[1]s: { %s } }\nrealtime: { backend: %[1]s, %[1]s: { %[2]s, topic: %s } }\n", name, at, bus)
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	s, err := dual.Open(ctx, cfg, adapters.All(), func(o *dual.Options) {
		o.TopicOf = func(durable.Event) string { return topic }
		o.Dispatcher.Timeout = time.Minute // however long the broker stands still
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	e := durable.Event{ID: durable.NewID(), Type: "made", SourceType: "thing", SourceID: "7"} // stored once more after a failure
	var sub realtime.Subscription
	testenv.Await(t, time.Minute, func() bool { // the leader of a new topic may not know yet
		sub, err = s.Realtime.Subscribe(ctx, realtime.Channel("thing", "7"))
		return err == nil
	}, "subscription")
	var receipts []dual.Receipt
	testenv.Await(t, time.Minute, func() bool {
		receipts, err = s.Publisher.Publish(ctx, e)
		return err == nil
	}, "publish")
	if got, err := sub.Next(ctx); err != nil || got.Notification.ID != receipts[0].ID {
		t.Errorf("got %+v, %v, want the notification of %s", got, err, receipts[0].ID)
	}
	handled := ""
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic), Ordering: durable.None}
	err = durable.Process(ctx, s.Durable, g, func(msg *message.Message) error {
		handled = msg.UUID
		stop()
		return nil
	}, durable.ProcessOptions{})
	if err != nil || handled != receipts[0].ID {
		t.Errorf("handled %q, %v, want %s", handled, err, receipts[0].ID)
	}
}

func TestAServerThatDoesNotAnswerIsBlamedOnItsKey(t *testing.T) {
	for path, text := range map[string]string{
		"durable.watermill-redisstream.addrs": "durable: { backend: watermill-redisstream, watermill-redisstream: { addrs: [ '127.0.0.1:1' ] } }",
	} {
		cfg, err := dual.Parse("f.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = dual.Open(t.Context(), cfg, adapters.All())
		var bad *dual.ConfigError
		if !errors.As(err, &bad) || bad.Path != path {
			t.Errorf("got %v, want %s blamed", err, path)
		}
	}
}
