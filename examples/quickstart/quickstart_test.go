package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	redisYAML = "redis.yaml"
	kafkaYAML = "kafka.yaml"
)

// runCommand runs the command to its end, in a group that nobody else uses unless args name one, and returns what it
// reports.
func runCommand(t *testing.T, args ...string) report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"-json", "-group", testenv.Name(t, "quickstart")}, args...)
	if err := command(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("quickstart %v: %v\n%s%s", args, err, &stdout, &stderr)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v: %q", err, &stdout)
	}
	return r
}

func checkComplete(t *testing.T, r report, events int) {
	t.Helper()
	if r.Stored != events || r.Announced != events || r.Processed != events || r.Lost != 0 || r.OrderViolations != 0 {
		t.Errorf("got %+v, want %d events stored, announced and processed in order", r, events)
	}
}

func TestNothingIsLostInMemory(t *testing.T) {
	for _, members := range []string{"1", "3"} {
		r := runCommand(t, "-members", members)
		checkComplete(t, r, 3000)
		if r.Received != 3000 || r.Backend != "memory" {
			t.Errorf("%s members: got %+v, want 3000 received on memory", members, r)
		}
	}
}

// TestTheKeysOfTheJSONAreThese reads them as another program does. The bound is the one that a first run is promised.
func TestTheKeysOfTheJSONAreThese(t *testing.T) {
	var out, diary bytes.Buffer
	if err := command(t.Context(), []string{"-json"}, &out, &diary); err != nil {
		t.Fatalf("%v: %s", err, &diary)
	}
	var keys map[string]any
	if err := json.Unmarshal(out.Bytes(), &keys); err != nil {
		t.Fatalf("%v: %q", err, &out)
	}
	for key, want := range map[string]any{
		"backend": "memory", "stored": 3000.0, "announced": 3000.0, "received": 3000.0, "processed": 3000.0,
		"duplicates": 0.0, "lost": 0.0, "order_violations": 0.0,
	} {
		if keys[key] != want {
			t.Errorf("%q: got %v, want %v in %s", key, keys[key], want, &out)
		}
	}
	for _, key := range []string{"p50_ms", "p99_ms", "process_p50_ms", "process_p99_ms", "seconds"} {
		if n, ok := keys[key].(float64); !ok || n <= 0 {
			t.Errorf("%q: got %v, want a number above 0", key, keys[key])
		}
	}
	if n, _ := keys["seconds"].(float64); n > 10 || len(keys) != 13 {
		t.Errorf("got %v s and %d keys, want 10 s at most: %s", keys["seconds"], len(keys), &out)
	}
}

func TestNothingIsLostOnRedis(t *testing.T) {
	t.Setenv("REDIS_ADDR", testenv.Redis(t))
	for _, members := range []string{"1", "3"} {
		checkComplete(t, runCommand(t, "-config", redisYAML, "-members", members), 3000)
	}
}

func TestRunsGoOnWithOneGroup(t *testing.T) {
	addr := testenv.StartRedis(t, testenv.RedisOptions{}).Addr()
	t.Setenv("REDIS_ADDR", addr)
	for range 2 {
		checkComplete(t, runCommand(t, "-config", redisYAML, "-events", "500", "-group", "ours"), 500)
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	groups, err := client.XInfoGroups(t.Context(), "{orders:0}").Result()
	if err != nil || len(groups) != 1 || groups[0].Name != "ours" || groups[0].Lag != 0 {
		t.Errorf("got %+v, %v, want one group that has everything", groups, err)
	}
}

func TestNothingIsLostOnKafka(t *testing.T) {
	t.Setenv("REDIS_ADDR", testenv.Redis(t))
	t.Setenv("KAFKA_BROKERS", strings.Join(testenv.Kafka(t), ","))
	for _, members := range []string{"1", "3"} {
		checkComplete(t, runCommand(t, "-config", kafkaYAML, "-members", members), 3000)
	}
}

func TestOneWordSwapsTheBackend(t *testing.T) {
	lines := func(file string) []string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(data), "\n")
	}
	a, b := lines(redisYAML), lines(kafkaYAML)
	if len(a) != len(b) {
		t.Fatalf("got %d and %d lines", len(a), len(b))
	}
	var changed []string
	for i := range a {
		if a[i] != b[i] {
			changed = append(changed, a[i]+" -> "+b[i])
		}
	}
	if want := "  backend: redisstream ->   backend: kafka"; len(changed) != 1 || changed[0] != want {
		t.Errorf("got %q, want %q", changed, want)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"positive":   {"-events", "0"},
		"unexpected": {"more"},
		"no such":    {"-config", "none.yaml"},
		"not defin":  {"-what"},
	} {
		var out bytes.Buffer
		if err := command(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error with %q", args, err, want)
		}
	}
}

// trigger is a writer that closes seen once text was written to it.
type trigger struct {
	text string
	seen chan struct{}
	once sync.Once
}

func (w *trigger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// killMidway runs the quickstart, and interrupt once the live listener got 1000 notifications.
func killMidway(t *testing.T, config string, interrupt func()) {
	t.Helper()
	const events = 10_000
	s, err := parse([]string{"-config", config, "-events", "10000", "-timeout", "3m"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	out := &trigger{text: "live #1000", seen: make(chan struct{})}
	var r report
	done := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), s, out, os.Stderr, func(shown report) error { r = shown; return nil })
		done <- err
	}()
	select {
	case <-out.seen:
	case err := <-done:
		t.Fatalf("ended before the broker was killed: %v", err)
	}
	interrupt()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.Stored != events || r.Processed != events || r.Lost != 0 || r.OrderViolations != 0 {
		t.Errorf("got %+v, want %d events stored and processed in order", r, events)
	}
	t.Logf("%+v", r)
}

func TestAKilledRedisLosesNothingAcknowledged(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{AppendOnly: "yes", AppendFsync: "always"})
	t.Setenv("REDIS_ADDR", server.Addr())
	killMidway(t, redisYAML, func() { server.Kill(); server.Restart() })
}

func TestAKilledKafkaLosesNothingAcknowledged(t *testing.T) {
	cluster := testenv.StartKafka(t, testenv.KafkaOptions{})
	t.Setenv("REDIS_ADDR", testenv.Redis(t))
	t.Setenv("KAFKA_BROKERS", strings.Join(cluster.Brokers(), ","))
	killMidway(t, kafkaYAML, func() { cluster.Node(1).Kill(); cluster.Node(1).Restart() })
}
