package rediskit

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestSlotsAreThoseOfTheServer(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Settings: []string{"--cluster-enabled", "yes"}})
	client := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer func() { _ = client.Close() }()
	for _, key := range []string{
		"123456789", "foo", "{foo}.bar", "ds:topic:{foo}", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}", "{orders:0}", "a{b", "}a{b}", "ü€",
	} {
		want, err := client.ClusterKeySlot(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := Slot(key); int64(got) != want {
			t.Errorf("%q: got %d, want %d", key, got, want)
		}
	}
}
