package adapters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/internal/testenv"
)

const secret = "geheim-4711"

// TestASecretIsInNoErrorAndNoLog opens every backend that takes a password with one, against servers that are not there
// and servers that refuse it. The Redis client library prints nothing either, such as failed dials.
func TestASecretIsInNoErrorAndNoLog(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Password: "another"})
	file := t.TempDir() + "/secret"
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("THE_SECRET", secret)
	stderr := new(printed)
	redis.SetLogger(stderr)
	for _, given := range []string{"password: " + secret, "password: '${THE_SECRET}'", "password_file: " + file} {
		for _, addr := range []string{"127.0.0.1:1", r.Addr()} {
			server := fmt.Sprintf("{addr: %q, username: app, %s, timeout: 500ms}", addr, given)
			cluster := fmt.Sprintf("{cluster: {addrs: [%q]}, username: app, %s, timeout: 500ms}", addr, given)
			sentinel := fmt.Sprintf("{sentinel: {addrs: [%q], master: m, username: app, %s}, timeout: 500ms}", addr, given)
			kafka := fmt.Sprintf("{brokers: [%q], sasl: {user: app, %s}, open_timeout: 500ms}", addr, given)
			for _, text := range []string{
				"durable: {backend: redisstream, redisstream: " + server + "}",
				"durable: {backend: redisstream, redisstream: " + cluster + "}",
				"durable: {backend: redisstream, redisstream: " + sentinel + "}",
				"durable: {backend: kafka, kafka: " + kafka + "}",
				"durable: {backend: memory}\nrealtime: {backend: redispubsub, redispubsub: " + server + "}",
				"durable: {backend: memory}\ndedupe: {store: redis, redis: " + server + "}",
			} {
				tellsNothing(t, text, stderr)
			}
		}
	}
}

// tellsNothing opens what text configures, which fails, and looks for the secret in all that is told.
func tellsNothing(t *testing.T, text string, stderr *printed) {
	t.Helper()
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the secret is in %v", err)
		}
		t.Fatalf("%s: %v", text, err)
	}
	told := fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg)
	if shown, err := json.Marshal(cfg); err == nil {
		told += string(shown)
	}
	_, err = dual.Open(t.Context(), cfg, adapters.All(), func(o *dual.Options) { o.Logger = logger })
	if err == nil {
		t.Fatalf("%s: Open succeeded", text)
	}
	for e := err; e != nil; {
		told += fmt.Sprintf(" %v %+v %#v", e, e, e)
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	if strings.Contains(told+logged.String()+stderr.String(), secret) {
		t.Errorf("%s: the secret is in %s, %s or %s", text, told, logged.String(), stderr)
	}
	if stderr.String() != "" {
		t.Errorf("%s: standard error has %s", text, stderr)
	}
}

// printed is what the Redis client library would write to the standard error output.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Printf(_ context.Context, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&p.text, format+"\n", args...)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}
