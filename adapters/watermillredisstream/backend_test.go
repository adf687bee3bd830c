package watermillredisstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/watermillredisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
	"github.com/dualstream/dualstream/realtime/realtimetest"
)

func TestMain(m *testing.M) {
	testenv.SideBySide(8)
	leaktest.Main(m, testenv.Leaks()...)
}

// config has entries claimed that were left alone for longer than a machine stands still.
func config(t testing.TB) watermillredisstream.Config {
	return watermillredisstream.Config{Addrs: []string{testenv.Redis(t)}, ClaimIdle: 5 * time.Second}
}

func TestConformance(t *testing.T) {
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend {
			b, err := watermillredisstream.Open(t.Context(), config(t))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		NewTopic: func(t testing.TB, _ int) string { return testenv.Name(t, "t") },
		Foreign: func(t testing.TB, topic string) {
			c := redis.NewClient(&redis.Options{Addr: testenv.Redis(t)})
			err := c.XAdd(context.Background(), &redis.XAddArgs{Stream: topic, Values: []any{"ticketID", "42"}}).Err()
			if err := errors.Join(err, c.Close()); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestRealtimeConformance(t *testing.T) {
	realtimetest.Run(t, realtimetest.Harness{New: func(t testing.TB) realtime.Backend {
		b, err := watermillredisstream.OpenRealtime(t.Context(), config(t), testenv.Name(t, "bus"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}})
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := watermillredisstream.Open(ctx, watermillredisstream.Config{Addrs: []string{"127.0.0.1:1"}})
	if !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	for _, bad := range []watermillredisstream.Config{
		{},
		{Addrs: []string{"a:1"}, Username: "me"},
		{Addrs: []string{"a:1"}, DB: -1},
		{Addrs: []string{"a:1"}, MaxLen: -1},
		{Addrs: []string{"a:1"}, ClaimIdle: -1},
	} {
		if _, err := watermillredisstream.Open(ctx, bad); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", bad, err)
		}
	}
}
