//nolint:ineffassign,staticcheck // the page leaves the checks of errors out
package adapters_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

// What a page for those who come from elsewhere shows is here too, so that it compiles.
func watermillOnKafka(ctx context.Context, brokers []string) error {
	backend, err := kafka.Open(ctx, kafka.Config{Brokers: brokers})
	publisher, err := durable.NewPublisher(backend, durable.PublisherOptions{})
	subscriber, err := durable.NewSubscriber(backend, durable.Group{Name: "billing"}, durable.ProcessOptions{})
	_, _ = publisher, subscriber
	return err
}

func watermillOnRedis(ctx context.Context, addr string) error {
	backend, err := redisstream.Open(ctx, redisstream.Config{Connection: redisstream.Connection{Addr: addr}})
	publisher, err := durable.NewPublisher(backend, durable.PublisherOptions{})
	group := durable.Group{Name: "billing", Ordering: durable.None}
	subscriber, err := durable.NewSubscriber(backend, group, durable.ProcessOptions{})
	_, _ = publisher, subscriber
	return err
}

func rawReadGroup(ctx context.Context, addr string, handle func(*message.Message) error) error {
	backend, err := redisstream.Open(ctx, redisstream.Config{
		Connection: redisstream.Connection{Addr: addr},
		Marshaller: redisstream.Fields{SourceID: "ticketID", SourceType: "ticket", DefaultType: "ticket.changed"},
	})
	group := durable.Group{Name: "loop", Topics: durable.Topics("tickets"), Ordering: durable.None}
	err = durable.Process(ctx, backend, group, handle, durable.ProcessOptions{})
	return err
}

func rawSarama(ctx context.Context, brokers []string, handle func(*message.Message) error) error {
	backend, err := kafka.Open(ctx, kafka.Config{Brokers: brokers, PlainRecords: true})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	err = durable.Process(ctx, backend, group, handle, durable.ProcessOptions{})
	return err
}

func TestTheBlocksOfTheMigrationAreCodeThatCompiles(t *testing.T) {
	_, _, _, _ = watermillOnKafka, watermillOnRedis, rawReadGroup, rawSarama
	code := ""
	for _, file := range []string{"migration_test.go", "redisstream/interop_groups_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code += strings.ReplaceAll("\n"+string(text), "\t", "")
	}
	page, err := os.ReadFile("../durable/MIGRATION.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if !strings.Contains(code, strings.ReplaceAll("\n"+b, "\t", "")) {
			t.Errorf("no test holds this block:\n%s", b)
		}
	}
	if len(blocks) < 5 {
		t.Errorf("got %d blocks, want one for each of the four and Redis", len(blocks))
	}
}
