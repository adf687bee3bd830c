package main

import (
	"context"
	"io"
	"net/http"
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

func TestMetricsAreServedUntilInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var shown, out lines
	ended := make(chan error, 1)
	go func() {
		ended <- command(ctx, []string{"-events", "300", "-members", "2", "-metrics", "127.0.0.1:0"}, &shown, &out)
	}()
	const before, after = "still serving http://", "/metrics"
	testenv.Await(t, time.Minute, func() bool { return strings.Contains(out.String(), before) }, "the run is over")
	_, rest, _ := strings.Cut(out.String(), before)
	addr, _, _ := strings.Cut(rest, after)
	if text := out.String(); !strings.Contains(text, "from now on: http://"+addr) || !strings.HasSuffix(text, "Ctrl-C ends it\n") {
		t.Errorf("it does not tell what it serves and what ends it: %q", text)
	}
	if !strings.Contains(shown.String(), "order violations") {
		t.Errorf("the table is not there while it is serving: %q", shown.String())
	}
	families := get(t, addr, "/metrics")
	for _, want := range []string{
		`dualstream_published_events_total{backend="memory",outcome="stored",topic="orders"} 300`,
		`dualstream_acked_events_total{backend="memory",group="quickstart",topic="orders"} 300`,
		`dualstream_notifications_sent_total{backend="memory"} 300`,
		`dualstream_lag_events{backend="memory",group="quickstart",topic="orders"} 0`,
		`dualstream_handler_duration_seconds_count{backend="memory",group="quickstart",outcome="ok",topic="orders"} 300`,
		`dualstream_breaker_state{backend="memory"} 0`,
	} {
		if !strings.Contains(families, want) {
			t.Errorf("/metrics lacks %s:\n%s", want, families)
		}
	}
	problems, err := promlint.New(strings.NewReader(families)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	for _, path := range []string{"/live", "/ready"} {
		if body := get(t, addr, path); !strings.Contains(body, `"ok":true`) {
			t.Errorf("%s: got %s", path, body)
		}
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("after the interrupt: got %v, want nil", err)
	}
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
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s: got %s, %v: %s", path, res.Status, err, body)
	}
	return string(body)
}
