package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestAMissingTopicIsNamedOnceWithWhatToDo(t *testing.T) {
	t.Parallel()
	b := opened(t)
	name := testenv.Name(t, "missing")
	calls := map[string]func() error{
		"append":   func() error { _, err := b.Append(t.Context(), name, events(1, oneKey)...); return err },
		"describe": func() error { _, err := b.DescribeTopic(t.Context(), name); return err },
		"delete":   func() error { return b.DeleteTopic(t.Context(), name) },
		"lag":      func() error { _, err := b.Lag(t.Context(), "g", name); return err },
		"consume": func() error {
			_, err := b.Consume(t.Context(), durable.Group{Name: "g", Topics: durable.Topics(name)})
			return err
		},
		"replay": func() (err error) {
			for _, err = range b.Replay(t.Context(), name, durable.Range{}) {
			}
			return err
		},
	}
	for what, call := range calls {
		err := call()
		if !errors.Is(err, durable.ErrTopicNotFound) {
			t.Errorf("%s: got %v, want ErrTopicNotFound", what, err)
			continue
		}
		text := err.Error()
		if strings.Count(text, name) != 1 || !strings.Contains(text, "create it, or name it under \"topics\"") || strings.Contains(text, "kafka server") {
			t.Errorf("%s: got %q, want the name once and what to do", what, text)
		}
	}
}
