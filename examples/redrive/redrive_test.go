package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }

// fail has n events of topic fail in group billing, on a Redis server that config names.
func fail(t *testing.T, n int) (b durable.Backend, config, topic string) {
	t.Helper()
	addr := testenv.Redis(t)
	config = filepath.Join(t.TempDir(), "redis.yaml")
	text := fmt.Sprintf("durable: { backend: redisstream, redisstream: { addr: %q } }\n", addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	topic = testenv.Name(t, "orders")
	for i := range n {
		msg, err := durable.Event{ID: fmt.Sprint("e", i), Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Append(t.Context(), topic, msg); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	left := n
	poison := &middleware.Poison{Backend: r, OnPoison: func(middleware.PoisonEvent) {
		if left--; left == 0 {
			stop()
		}
	}}
	h := durable.HandleEvent(func(context.Context, durable.Event) error {
		return middleware.Permanent(errors.New("no such\x1b[2J customer"))
	})
	chain, err := middleware.NewChain(poison)
	if err != nil {
		t.Fatal(err)
	}
	group := durable.Group{Name: "billing", Topics: durable.Topics(topic)}
	if err := durable.Process(ctx, r, group, chain.Handler(middleware.NoPublish(h)), durable.ProcessOptions{}); err != nil {
		t.Fatal(err)
	}
	return r, config, topic
}

func redrive(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	if err := command(t.Context(), args, &out, &log); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, log.String())
	}
	return out.String()
}

func TestAPoisonTopicIsListedShownRedrivenAndDropped(t *testing.T) {
	b, config, topic := fail(t, 5)
	with := func(args ...string) []string {
		return append([]string{"-config", config, "-topic", topic + ".poison"}, args...)
	}
	table := redrive(t, with("list")...)
	if strings.Count(table, "order.created") != 5 || !strings.Contains(table, "5 events") || strings.Contains(table, "\x1b") {
		t.Errorf("list:\n%s", table)
	}
	if text := redrive(t, with("-id", "e3", "show")...); !strings.Contains(text, "e3 at") || !strings.Contains(text, "ds-poison-class: permanent") || strings.Contains(text, "e2 at") {
		t.Errorf("show:\n%s", text)
	}
	if text := redrive(t, with("-dry-run", "redrive")...); !strings.HasPrefix(text, "5 moved (dry run") {
		t.Errorf("dry run: %s", text)
	}
	if text := redrive(t, with("-id", "e1,e2", "-since", "1h", "-class", "permanent", "redrive")...); !strings.HasPrefix(text, "2 moved;") {
		t.Errorf("redrive: %s", text)
	}
	if text := redrive(t, with("-limit", "1", "drop")...); !strings.HasPrefix(text, "1 dropped;") {
		t.Errorf("drop: %s", text)
	}
	if text := redrive(t, with("list")...); !strings.Contains(text, "2 events") {
		t.Errorf("the rest:\n%s", text)
	}
	n := 0
	for _, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 7 {
		t.Errorf("the topic has %d events, want 7", n)
	}
}

func TestBadCommandLinesSayWhatToDo(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"list", "-config is missing"},
		{"-config x", "name one of list"},
		{"-config x -topic t move", `unknown command "move"`},
		{"-config x list", "-topic is missing"},
		{"-config x -topic a/b list", "invalid topic"},
		{"-config x -topic t -class broken list", `-class "broken": use one of permanent`},
		{"-config ../quickstart/memory.yaml -topic t list", "the backend memory"},
		{"-config x -topic t -since never list", "-since"},
		{"-config x -topic t -until never list", "-until"},
		{"-config no/such/file -topic t list", "no such file"},
	} {
		err := command(t.Context(), strings.Fields(c.args), &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.args, err, c.want)
		}
	}
}

func TestTheBarShowsHowFarItIs(t *testing.T) {
	b := newBar(&bytes.Buffer{}, 10)
	if got, want := b.line(5, 5*time.Second), "\r["+strings.Repeat("#", 15)+strings.Repeat(".", 15)+"] 5/10, 1/s "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
