package dual_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// effective loads text and returns its effective configuration.
func effective(t *testing.T, text string, openers dual.Openers) string {
	t.Helper()
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	out, err := cfg.Effective(openers)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return out
}

const everything = `
connections: { main: { addr: "redis:6379", username: orders, password: "${DS_PASSWORD}" } }
durable:
  backend: redisstream
  redisstream: { connection: main, max_len: 1000, ttl: 36h }
  kafka: { brokers: "${DS_BROKERS}", sasl: { user: orders, password: "${DS_PASSWORD}" } }
realtime: { backend: redispubsub, redispubsub: { connection: main } }
publish: { topic: "true", wait: 1500ms }
topics: { orders: { partitions: 3, retention: 168h }, "on": }
retry: { publish: false }
poison:
tiers: { delays: [5s, 1m] }
dedupe: { store: redis, redis: { connection: main } }
rate_limit: { per_second: 2.5 }
`

func TestTheEffectiveConfigurationHasEverySettingAndNoSecret(t *testing.T) {
	t.Setenv("DS_PASSWORD", "hunter2")
	t.Setenv("DS_BROKERS", "a:1,b:2")
	got := effective(t, everything, adapters.All())
	for _, line := range []string{
		"  backend: redisstream\n", `    addr: "redis:6379"`, "    username: orders\n", `    password: "***"`, "    # retention: no limit\n",
		"    ttl: 36h\n", "    max_len: 1000\n", "    lease_ttl: 10s\n", "    persistence: warn\n", "    brokers:\n      - \"a:1\"\n      - \"b:2\"\n",
		"    session_timeout: 10s\n", "  topic: \"true\"\n", "  wait: 1.5s\n", "  orders:\n    partitions: 3\n", "    retention: 168h\n",
		"  publish: false\n", "  after: continue\n", "  delays:\n    - 5s\n    - 1m\n", "  per_second: 2.5\n", "recover:\n", "open_timeout: 15s\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is missing", line)
		}
	}
	if strings.Contains(got, "hunter2") || strings.Contains(got, "connection") {
		t.Error("a secret or a connection is left")
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestTheEffectiveConfigurationLoadsAgainAndMeansTheSame(t *testing.T) {
	t.Setenv("DS_PASSWORD", "hunter2")
	t.Setenv("DS_BROKERS", "a:1,b:2")
	texts := []string{everything, "durable: { backend: memory }\n", of("addr: '$${x} # \"'\n    brokers: [a b, 'yes', '1']\n    ratio: 1.5e9")}
	for _, pattern := range []string{"quickstart", "tickets"} {
		files, err := filepath.Glob(filepath.Join("..", "examples", pattern, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	for _, text := range texts {
		all := adapters.All()
		if strings.Contains(text, "ratio") {
			all = openers()
		}
		once := effective(t, text, all)
		if again := effective(t, once, all); again != once {
			t.Errorf("got\n%s\nwant\n%s", again, once)
		}
	}
}

func TestTheEffectiveConfigurationOfABadFileIsItsProblems(t *testing.T) {
	cfg, err := dual.Parse("f.yaml", []byte("durable: { backend: memory, memory: { max_len: 0, partitions: x } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Effective(adapters.All()); len(dual.Problems(err)) != 2 {
		t.Errorf("got %v, want two problems", err)
	}
}

func TestZeroIsTheDefaultInTheEffectiveConfiguration(t *testing.T) {
	cfg, err := dual.Parse("f.yaml", []byte("durable: { backend: memory }\n"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Publish = dual.PublishConfig{Topic: "orders"} // a program may change what was loaded
	got, err := cfg.Effective(adapters.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"  topic: orders\n", "  max_in_flight: 10000\n", "  max_bytes: 67108864\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is missing in\n%s", line, got)
		}
	}
	if durable.DefaultPublishInFlight != 10000 {
		t.Error("the default is another one")
	}
}
