package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// stored has an event in a new topic of the backend that the section durable describes.
func stored(t *testing.T, section string) (config, topic string) {
	t.Helper()
	config = filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(config, []byte("durable: "+section+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := dual.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	topic = testenv.Name(t, "orders")
	cfg.Publish.Topic = topic
	cfg.Topics = map[string]dual.Topic{topic: {Partitions: 1}}
	stack, err := dual.Open(t.Context(), cfg, adapters.All())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stack.Close(context.Background()) }()
	if admin, ok := stack.Durable.(durable.Administrator); ok {
		if err := admin.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stack.Publisher.Publish(t.Context(), durable.Event{ID: "e", Type: "x", SourceType: "order", SourceID: "1"}); err != nil {
		t.Fatal(err)
	}
	return config, topic
}

func TestATopicThatIsNoPoisonTopicIsDoubtedAndOneThatIsMissingExplained(t *testing.T) {
	for name, section := range map[string]func() string{
		"redis": func() string {
			return fmt.Sprintf("{ backend: redisstream, redisstream: { addr: %q } }", testenv.Redis(t))
		},
		"kafka": func() string { return fmt.Sprintf("{ backend: kafka, kafka: { brokers: %q } }", testenv.Kafka(t)[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			config, topic := stored(t, section())
			for _, verb := range []string{"list", "show", "redrive", "drop"} {
				text := redrive(t, "-config", config, "-topic", topic+".poison", verb)
				if want := "nothing has been poisoned yet: there is no topic " + topic + ".poison"; !strings.Contains(text, want) {
					t.Errorf("%s of a topic that is missing: got %q, want %q", verb, text, want)
				}
			}
			want := topic + " is not a poison topic: none of its 1 events has ever been poisoned; name one such as " + topic + ".poison"
			for _, verb := range []string{"list", "show"} {
				if text := redrive(t, "-config", config, "-topic", topic, verb); !strings.Contains(text, "warning: "+want) {
					t.Errorf("%s: got %q, want a warning", verb, text)
				}
			}
			for _, verb := range []string{"redrive", "drop"} {
				var out, log bytes.Buffer
				err := command(t.Context(), []string{"-config", config, "-topic", topic, verb}, &out, &log)
				if err == nil || err.Error() != want {
					t.Errorf("%s: got %v, want %q", verb, err, want)
				}
			}
			if text := redrive(t, "-config", config, "-topic", topic, "list"); !strings.Contains(text, "1 event in "+topic) {
				t.Errorf("afterwards: got %q, want the event untouched", text)
			}
		})
	}
}
