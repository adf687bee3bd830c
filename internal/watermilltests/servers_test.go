package watermilltests

import (
	"context"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// backends open a backend of each kind on the shared servers; it is closed with the test.
func backends() map[string]func(*testing.T) durable.Backend {
	return map[string]func(*testing.T) durable.Backend{
		"memory": onMemory,
		"redis":  func(t *testing.T) durable.Backend { return onRedis(t, testenv.Redis(t)) },
		"kafka":  func(t *testing.T) durable.Backend { return onKafka(t, testenv.Kafka(t)) },
	}
}

func onMemory(t *testing.T) durable.Backend {
	t.Helper()
	b, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, b)
}

func onRedis(t *testing.T, addr string) durable.Backend {
	t.Helper()
	b, err := redisstream.Open(t.Context(), redisstream.Config{
		Connection: redisstream.Connection{Addr: addr}, ClaimIdle: claimIdle,
	})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, b)
}

func onKafka(t *testing.T, brokers []string) durable.Backend {
	t.Helper()
	b, err := kafka.Open(t.Context(), kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, b)
}

// closed has b closed with the test.
func closed(t *testing.T, b durable.Backend) durable.Backend {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}
