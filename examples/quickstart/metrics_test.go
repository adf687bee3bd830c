package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/dualstream/dualstream/internal/testenv"
)

// lines is what a command has written so far.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// The servers are its own, because everything in the topic is counted.
func TestMetricsAreServedUntilInterrupted(t *testing.T) {
	t.Run("memory", func(t *testing.T) { served(t, "memory", "memory") })
	t.Run("redis", func(t *testing.T) {
		t.Setenv("REDIS_ADDR", testenv.StartRedis(t, testenv.RedisOptions{}).Addr())
		served(t, "redisstream", "redispubsub", "-config", redisYAML)
	})
	t.Run("kafka", func(t *testing.T) {
		t.Setenv("REDIS_ADDR", testenv.Redis(t))
		t.Setenv("KAFKA_BROKERS", strings.Join(testenv.StartKafka(t, testenv.KafkaOptions{}).Brokers(), ","))
		served(t, "kafka", "redispubsub", "-config", kafkaYAML)
	})
}

// served runs the command with -metrics and looks at what it serves about its durable and its real-time backend.
func served(t *testing.T, store, bus string, args ...string) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out lines
	ended := make(chan error, 1)
	group := testenv.Name(t, "quickstart")
	args = append(args, "-json", "-events", "300", "-members", "2", "-group", group, "-metrics", "127.0.0.1:0")
	go func() { ended <- command(ctx, args, io.Discard, &out) }()
	const before, after = "serving http://", "/metrics"
	testenv.Await(t, time.Minute, func() bool { return strings.Contains(out.String(), before) }, "the run is over")
	_, rest, _ := strings.Cut(out.String(), before)
	addr, _, _ := strings.Cut(rest, after)
	of := fmt.Sprintf(`{backend=%q,group=%q,topic="orders"}`, store, group)
	wanted := []string{
		fmt.Sprintf(`dualstream_published_events_total{backend=%q,outcome="stored",topic="orders"} 300`, store),
		"dualstream_acked_events_total" + of + " 300",
		"dualstream_in_flight_events" + of + " 0",
		"dualstream_lag_events" + of,
		"dualstream_pending_events" + of,
		fmt.Sprintf(`dualstream_lag_errors_total{backend=%q,group=%q} `, store, group),
		fmt.Sprintf(`dualstream_notifications_dispatched_total{backend=%q} 300`, bus),
		fmt.Sprintf(`dualstream_handler_duration_seconds_count{backend=%q,group=%q,outcome="ok",topic="orders"} 300`, store, group),
		fmt.Sprintf(`dualstream_breaker_state{backend=%q} `, bus),
		"dualstream_append_duration_seconds_bucket", "dualstream_append_batch_size_bucket", "dualstream_notify_duration_seconds_bucket",
		"dualstream_published_bytes_total", "dualstream_redelivered_events_total", "dualstream_released_events_total",
		"dualstream_notifications_dropped_total", "dualstream_publisher_in_flight_events", "dualstream_stalls_total",
	}
	families, missing := "", ""
	testenv.Await(t, time.Minute, func() bool { // a lag that the broker does not tell in time is left out
		families = get(t, addr, "/metrics")
		i := slices.IndexFunc(wanted, func(want string) bool { return !strings.Contains(families, want) })
		if i >= 0 && missing != wanted[i] {
			missing = wanted[i]
			t.Logf("/metrics lacks %s:\n%s", missing, families)
		}
		return i < 0
	}, "all metrics are served")
	least := 300
	if bus != "memory" {
		least = 1 // a broker that stood still did not take some
	}
	if n := value(t, families, fmt.Sprintf(`dualstream_notifications_sent_total{backend=%q}`, bus)); n < least || n > 300 {
		t.Errorf("got %d notifications sent, want %d to 300", n, least)
	}
	received := value(t, families, "dualstream_received_events_total"+of)
	if released := value(t, families, "dualstream_released_events_total"+of); received != 300+released {
		t.Errorf("got %d received and %d released, want 300 that were not", received, released)
	}
	problems, err := promlint.New(strings.NewReader(families)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	for _, path := range []string{"/live", "/ready"} {
		testenv.Await(t, time.Minute, func() bool { return strings.Contains(get(t, addr, path), `"ok":true`) }, path)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("after the interrupt: got %v, want nil", err)
	}
}

// value is the counter of this name and these labels.
func value(t *testing.T, families, name string) int {
	t.Helper()
	_, rest, _ := strings.Cut(families, "\n"+name+" ")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("/metrics lacks %s:\n%s", name, families)
	}
	return n
}

func get(t *testing.T, addr, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s: got %s, %v: %s", path, res.Status, err, body)
	}
	return string(body)
}
