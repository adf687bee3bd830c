package dual_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// bound is far above what an Open may take with its open_timeout, and only ends a test that hangs.
const bound = time.Minute

// nobody is an address at which nothing listens.
const nobody = "127.0.0.1:1"

// mute is an address that accepts and never answers.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func openText(t *testing.T, text string) (*dual.Stack, error) {
	t.Helper()
	return openWithin(t, "20s", text)
}

func openWithin(t *testing.T, limit, text string) (*dual.Stack, error) {
	t.Helper()
	cfg, err := dual.Parse("f.yaml", []byte(text+"open_timeout: "+limit+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	s, err := dual.Open(ctx, cfg, adapters.All())
	if ctx.Err() != nil {
		t.Fatalf("Open was not bounded: %v", err)
	}
	if err == nil {
		t.Cleanup(func() { _ = s.Close(context.Background()) })
	}
	return s, err
}

func TestAnErrorOfOpenNamesTheSetting(t *testing.T) {
	free, silent, redis := nobody, mute(t), testenv.Redis(t)
	locked := testenv.StartRedis(t, testenv.RedisOptions{Password: "right"}).Addr()
	lossy := testenv.StartRedis(t, testenv.RedisOptions{AppendOnly: "no"}).Addr()
	for _, c := range []struct{ name, text, path string }{
		{"redis is away", "durable:\n  backend: redisstream\n  redisstream:\n    addr: ADDR\n", "durable.redisstream.addr"},
		{"redis is mute", "durable:\n  backend: redisstream\n  redisstream:\n    addr: MUTE\n", "durable.redisstream.addr"},
		{"no password", "durable:\n  backend: redisstream\n  redisstream: { addr: LOCKED }\n", "durable.redisstream.password"},
		{"wrong password", "durable:\n  backend: redisstream\n  redisstream:\n    addr: LOCKED\n    password: hunter2\n", "durable.redisstream.password"},
		{"redis forgets", "durable:\n  backend: redisstream\n  redisstream:\n    addr: LOSSY\n    persistence: require\n", "durable.redisstream.persistence"},
		{"kafka is away", "durable:\n  backend: kafka\n  kafka:\n    brokers: ADDR\n", "durable.kafka.brokers"},
		{"no bus", memoryLine + "realtime:\n  backend: redispubsub\n  redispubsub: { addr: ADDR }\n", "realtime.redispubsub.addr"},
		{"wrong password of the bus", memoryLine + "realtime:\n  backend: redispubsub\n  redispubsub:\n    addr: LOCKED\n    password: hunter2\n", "realtime.redispubsub.password"},
		{"wrong database", memoryLine + "realtime:\n  backend: redispubsub\n  redispubsub:\n    addr: REDIS\n    db: 4000\n", "realtime.redispubsub.db"},
		{"no certificate", memoryLine + "realtime:\n  backend: redispubsub\n  redispubsub: { addr: REDIS, tls: { enabled: true, ca_file: none.pem } }\n", "realtime.redispubsub.tls.ca_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := "20s"
			if strings.Contains(c.text, "MUTE") || strings.Contains(c.text, "ADDR") {
				limit = "2s" // nobody answers however long it is
			}
			_, err := openWithin(t, limit, strings.NewReplacer("ADDR", free, "MUTE", silent, "LOCKED", locked, "LOSSY", lossy, "REDIS", redis).Replace(c.text))
			var bad *dual.ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a ConfigError", err)
			}
			if bad.Path != c.path || bad.File != "f.yaml" || bad.Line == 0 || bad.Err == nil {
				t.Errorf("got path %q, line %d: %v; want %s", bad.Path, bad.Line, err, c.path)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

func TestAMissingAddressIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"durable: { backend: redisstream }\n":                       "durable.redisstream.addr",
		"durable: { backend: kafka }\n":                             "durable.kafka.brokers",
		memoryLine + "realtime: { backend: redispubsub }\n":         "realtime.redispubsub.addr",
		"durable: { backend: kafka, kafka: { brokers: [host] } }\n": "durable.kafka.brokers",
	} {
		_, err := openText(t, text)
		var bad *dual.ConfigError
		if !errors.As(err, &bad) || bad.Path != want || bad.Remedy == "" {
			t.Errorf("%q: got %v, want a remedy for %s", text, err, want)
		}
	}
}

func TestATopicOfAnotherShapeIsToldWithItsLine(t *testing.T) {
	topic, brokers := testenv.Name(t, "shape"), strings.Join(testenv.Kafka(t), ",")
	text := func(partitions string) string {
		return "durable:\n  backend: kafka\n  kafka: { brokers: '" + brokers + "' }\n" +
			"topics:\n  " + topic + ": { partitions: " + partitions + " }\n"
	}
	for range 2 { // a topic that exists in the same shape is fine
		if _, err := openText(t, text("2")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := openText(t, text("3"))
	var bad *dual.ConfigError
	if !errors.As(err, &bad) || !errors.Is(err, durable.ErrTopicExists) || bad.Line != 5 || bad.Path != "topics."+topic || bad.Remedy == "" {
		t.Errorf("got %v, want ErrTopicExists in line 5", err)
	}
}

func TestATopicTakenOutOfTheConfigIsNotCreated(t *testing.T) {
	cfg, err := dual.Parse("f.yaml", []byte("durable: { backend: memory }\ntopics: { kept: { partitions: 2 }, removed: {} }\n"))
	if err != nil {
		t.Fatal(err)
	}
	delete(cfg.Topics, "removed")
	s, err := dual.Open(t.Context(), cfg, adapters.All())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	admin := s.Durable.(durable.Administrator)
	if _, err := admin.DescribeTopic(t.Context(), "kept"); err != nil {
		t.Errorf("kept: got %v, want nil", err)
	}
	if _, err := admin.DescribeTopic(t.Context(), "removed"); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("removed: got %v, want ErrTopicNotFound", err)
	}
}

func TestAStackOpensTellsItsHealthAndCloses(t *testing.T) {
	redis := testenv.Redis(t)
	s, err := openText(t, "connections:\n  main: { addr: '"+redis+"' }\n"+
		"durable: { backend: redisstream, redisstream: { connection: main } }\n"+
		"realtime: { backend: redispubsub, redispubsub: { connection: main } }\n"+
		"publish: { topic: "+testenv.Name(t, "stack")+" }\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Health(t.Context()); err != nil {
		t.Error(err)
	}
	receipts, err := s.Publisher.Publish(t.Context(), event("a"))
	if err != nil || receipts[0].Topic != s.Topic() || receipts[0].Position == "" {
		t.Errorf("got %+v, %v", receipts, err)
	}
	for range 2 {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := s.Health(t.Context()); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("health after Close: got %v, want ErrClosed", err)
	}
}
