package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }

// fill stores 20 events in a topic of 3 partitions, of which the group has acknowledged the first 12.
func fill(t *testing.T, b durable.Backend, topic, group string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, b.(durable.Administrator).CreateTopic(ctx, durable.TopicSpec{Name: topic, Partitions: 3}))
	put := func(n int) {
		for i := range n {
			source := string(rune('a' + i))
			msg, err := durable.Event{Type: "x", SourceType: "s", SourceID: source}.Message(source)
			must(t, err)
			_, err = b.Append(ctx, topic, msg)
			must(t, err)
		}
	}
	put(12)
	working, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	handled := 0
	handler := func(*message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if handled++; handled == 12 {
			stop()
		}
		return nil
	}
	must(t, durable.Process(working, b, durable.Group{Name: group, Topics: durable.Topics(topic)}, handler, durable.ProcessOptions{}))
	put(8)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check holds what is shown of fill's topic against what fill did.
func check(t *testing.T, rows []row, topic, group string) {
	t.Helper()
	var records, lag int64
	for i, r := range rows {
		if r.Topic != topic || r.Group != group || r.Partition != i || r.Records > 0 && (r.Oldest == "" || r.Newest == "") {
			t.Errorf("row %d: got %+v", i, r)
		}
		records += r.Records
		lag += r.Lag
	}
	if len(rows) != 3 || records != 20 || lag != 8 {
		t.Errorf("got %d partitions with %d records and a lag of %d, want 3, 20 and 8", len(rows), records, lag)
	}
}

func TestOneTableForAllBackends(t *testing.T) {
	t.Setenv("REDIS_ADDR", testenv.Redis(t))
	t.Setenv("KAFKA_BROKERS", strings.Join(testenv.Kafka(t), ","))
	for _, file := range []string{"redis.yaml", "kafka.yaml"} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join("..", "quickstart", file)
			topic, group := testenv.Name(t, "inspect"), testenv.Name(t, "group")
			cfg, err := dual.Load(path)
			must(t, err)
			cfg.Realtime, cfg.Topics = "", nil
			stack, err := dual.Open(t.Context(), cfg, adapters.All())
			must(t, err)
			t.Cleanup(func() {
				if err := stack.Durable.(durable.Administrator).DeleteTopic(context.Background(), topic); err != nil {
					t.Error(err)
				}
				if err := stack.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			fill(t, stack.Durable, topic, group)
			var out bytes.Buffer
			must(t, command(t.Context(), []string{"-config", path, "-topic", topic, "-group", group, "-json"}, &out, os.Stderr))
			var rows []row
			must(t, json.Unmarshal(out.Bytes(), &rows))
			check(t, rows, topic, group)
			for _, r := range rows {
				if r.Records > 0 && r.Position == "" {
					t.Errorf("got %+v, want the position of the group", r)
				}
			}
			out.Reset()
			must(t, command(t.Context(), []string{"-config", path, "-topic", topic, "-json"}, &out, os.Stderr))
			rows = nil
			must(t, json.Unmarshal(out.Bytes(), &rows))
			check(t, rows, topic, group) // the one group that there is
			watch(t, "-config", path, "-topic", topic, "-group", group)
		})
	}
}

func TestInspectionCreatesNothing(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	t.Setenv("REDIS_ADDR", server.Addr())
	var out bytes.Buffer
	err := command(t.Context(), []string{"-config", filepath.Join("..", "quickstart", "redis.yaml")}, &out, os.Stderr)
	if !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("got %v, want ErrTopicNotFound", err)
	}
	if keys, err := server.Client().Keys(t.Context(), "*").Result(); len(keys) != 0 || err != nil {
		t.Errorf("got %v, %v, want no keys", keys, err)
	}
}

func TestTheTableNamesWhoHoldsWhatIsPending(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	t.Setenv("REDIS_ADDR", server.Addr())
	path := filepath.Join("..", "quickstart", "redis.yaml")
	cfg, err := dual.Load(path)
	must(t, err)
	cfg.Realtime = ""
	stack, err := dual.Open(t.Context(), cfg, adapters.All())
	must(t, err)
	t.Cleanup(func() { must(t, stack.Close(context.Background())) })
	msg, err := durable.Event{Type: "x", SourceType: "s", SourceID: "a"}.Message("a")
	must(t, err)
	_, err = stack.Durable.Append(t.Context(), "orders", msg)
	must(t, err)
	g := durable.Group{Name: "g", Member: "slow", Topics: durable.Topics("orders"), Ordering: durable.None}
	c, err := stack.Durable.Consume(t.Context(), g)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(context.Background())) })
	_, err = c.Fetch(t.Context(), 1)
	must(t, err)
	var out bytes.Buffer
	owner, err := stack.Durable.Consume(t.Context(), durable.Group{Name: "h", Member: "owns", Topics: durable.Topics("orders")})
	must(t, err)
	t.Cleanup(func() { must(t, owner.Close(context.Background())) })
	_, err = owner.Fetch(t.Context(), 1)
	must(t, err)
	must(t, command(t.Context(), []string{"-config", path}, &out, os.Stderr))
	for _, want := range []string{"slow:1", " owns\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got a table without %q:\n%s", want, &out)
		}
	}
}

func TestTheTableNamesWhatIsThere(t *testing.T) {
	b, err := memory.New(memory.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close(context.Background())) })
	fill(t, b, "orders", "billing")
	rows, err := inspect(t.Context(), b, []string{"orders"}, []string{"billing"})
	must(t, err)
	check(t, rows, "orders", "billing")
	rows, err = inspect(t.Context(), b, []string{"orders"}, []string{"billing", "unknown"})
	must(t, err)
	var out bytes.Buffer
	must(t, table(&out, rows))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[0], "TOPIC") {
		t.Fatalf("got %d lines, want a head, 3 of billing and 3 of unknown:\n%s", len(lines), &out)
	}
	if f := strings.Fields(lines[6]); f[0] != "orders" || f[1] != "2" || f[5] != "unknown" || f[7] != "-" {
		t.Errorf("got %q, want no lag of a group that is not there", lines[6])
	}
	if rows, err = inspect(t.Context(), b, []string{"orders"}, nil); len(rows) != 3 || err != nil {
		t.Errorf("without groups: got %d rows, %v, want 3", len(rows), err)
	}
	check(t, rows, "orders", "billing") // the one that has consumed it
	if _, err = inspect(t.Context(), b, []string{"none"}, nil); err == nil {
		t.Error("a topic that does not exist: got nil")
	}
}

// watcher ends the command when it has shown the table twice.
type watcher struct {
	mu   sync.Mutex
	text bytes.Buffer
	stop func()
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	if strings.Count(w.text.String(), "PARTITION") == 2 {
		w.stop()
	}
	return n, err
}

func watch(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &watcher{stop: cancel}
	must(t, command(ctx, append(args, "-watch", "-interval", "10ms"), w, os.Stderr))
	if got := strings.Count(w.text.String(), "PARTITION"); got < 2 {
		t.Errorf("got %d tables, want 2: %q", got, w.text.String())
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"-config":    {},
		"unexpected": {"more"},
		"no such":    {"-config", "none.yaml"},
		"name":       {"-topic", "a,,b"},
		"-interval":  {"-config", "x", "-interval", "0s"},
		"memory":     {"-config", filepath.Join("..", "quickstart", "memory.yaml")},
	} {
		var out bytes.Buffer
		if err := command(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error with %q", args, err, want)
		}
	}
}
