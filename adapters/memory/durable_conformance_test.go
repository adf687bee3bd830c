package memory_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
)

func TestDurableConformance(t *testing.T) {
	store := memory.NewStore()
	admin := newBackend(t, memory.Config{Store: store})
	var topics atomic.Int64
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend {
			b, err := memory.New(memory.Config{Store: store})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		NewTopic: func(t testing.TB, partitions int) string {
			name := "topic-" + strconv.FormatInt(topics.Add(1), 10)
			if err := admin.CreateTopic(t.Context(), durable.TopicSpec{Name: name, Partitions: partitions}); err != nil {
				t.Fatal(err)
			}
			return name
		},
		Trim: func(t testing.TB, topic string) {
			if _, err := admin.Trim(t.Context(), topic, durable.Trim{MaxLen: 5, AllowUnread: true}); err != nil {
				t.Fatal(err)
			}
		},
	})
}
