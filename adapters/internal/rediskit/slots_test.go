package rediskit

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestSlotsAreThoseOfTheServer(t *testing.T) {
	_, bus := reserved(t) // the default is another test's or anybody's
	r := testenv.StartRedis(t, testenv.RedisOptions{Settings: []string{"--cluster-enabled", "yes", "--cluster-port", bus}})
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
