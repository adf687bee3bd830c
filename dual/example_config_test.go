package dual_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// How does CI see all that is wrong in a file?
func ExampleCheck() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "app.yaml")
	if err := os.WriteFile(file, []byte("durable: { backend: redis }\nretry: { atempts: 3 }\npublish: { wait: 5 }\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range dual.Problems(dual.Check(file, adapters.All())) {
		fmt.Printf("line %d, %s: %s; %s\n", p.Line, p.Path, p.Problem, p.Remedy)
	}
	// Output:
	// line 1, durable.backend: unknown backend "redis"; did you mean "redisstream"?
	// line 2, retry.atempts: unknown key; did you mean "max_attempts"?
	// line 3, publish.wait: "5" is not a duration; write a number with a unit, such as 500ms, 5s or 2m
}

// Which settings does a process really run with?
func ExampleConfig_Effective() {
	cfg, err := dual.Parse("app.yaml", []byte("durable: { backend: memory, memory: { partitions: 8 } }\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := cfg.Effective(adapters.All())
	if err != nil {
		fmt.Println(err)
		return
	}
	before, _, _ := strings.Cut(text, "topics:")
	fmt.Print(before)
	// Output:
	// durable:
	//   backend: memory
	//   memory:
	//     partitions: 8
	//     max_len: 1000000
	//     max_bytes: 268435456
	// # realtime: nothing is announced
}

// How does a program name a backend of its own in its files? Its settings describe themselves by tags.
func ExampleDurableOf() {
	type settings struct {
		Rows int `yaml:"rows" min:"1" unit:"rows" doc:"that are kept" example:"500"`
	}
	openers := adapters.All()
	openers.Durable["table"] = dual.DurableOf(settings{Rows: 100}, func(_ context.Context, s settings, _ dual.Deps) (durable.Backend, error) {
		return memory.New(memory.Config{MaxLen: int64(s.Rows)})
	})
	cfg, err := dual.Parse("app.yaml", []byte("durable: { backend: table, table: { rows: 0 } }\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.Check(openers))
	_, rest, _ := strings.Cut(dual.Reference(openers), "## durable.table\n\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	fmt.Println(table)
	// Output:
	// app.yaml:1: durable.table.rows: bad value "0"; write a number from 1, or remove the key for the default
	// | Key | Type | Unit | Default | Example | Meaning |
	// | --- | --- | --- | --- | --- | --- |
	// | `rows` | whole number | rows | `100` | `500` | that are kept |
}

// How does a program name a real-time backend of its own, and give editors the schema of its files?
func ExampleRealtimeOf() {
	openers := adapters.All()
	openers.Realtime["local"] = dual.RealtimeOf(memory.RealtimeDefaults(), func(_ context.Context, s memory.RealtimeSettings, _ dual.Deps) (realtime.Backend, error) {
		return memory.NewRealtime(s.Config())
	})
	text, err := dual.Schema(openers)
	if err != nil {
		fmt.Println(err)
		return
	}
	var schema struct {
		Properties struct {
			Realtime struct{ Properties map[string]any }
		}
	}
	fmt.Println(json.Unmarshal(text, &schema), schema.Properties.Realtime.Properties["local"] != nil)
	// Output: <nil> true
}

// How does a program add a policy to its files?
func ExampleMiddlewareOf() {
	type settings struct {
		Level string `yaml:"level" oneof:"debug,info" doc:"of the line for each event" example:"info"`
	}
	openers := adapters.All()
	openers.Middleware["audit"] = dual.MiddlewareOf(adapters.PlaceMetrics, settings{Level: "debug"}, func(_ context.Context, s settings, _ dual.MiddlewareDeps) (dual.Middleware, error) {
		return dual.Middleware{Handler: func(group string) message.HandlerMiddleware {
			return func(h message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) {
					fmt.Println(s.Level, group, string(msg.Payload))
					return h(msg)
				}
			}
		}}, nil
	})
	cfg, err := dual.Parse("app.yaml", []byte("durable: { backend: memory }\naudit: { level: info }\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	stack, err := dual.Open(ctx, cfg, openers)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = stack.Close(ctx) }()
	handle := stack.Handler("billing", func(*message.Message) ([]*message.Message, error) { return nil, nil })
	fmt.Println(handle(message.NewMessage("1", []byte("paid"))))
	// Output:
	// info billing paid
	// <nil>
}

// How is a part shown that is bad and leaves the process ready?
func ExampleDegraded() {
	health, err := dual.NewHealth(dual.HealthOptions{Logger: slog.New(slog.DiscardHandler)}, dual.HealthCheck{
		Name: "cache", Check: func(context.Context) error { return dual.Degraded(errors.New("cold")) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = health.Close(ctx) }()
	report := health.Ready(ctx)
	fmt.Println(report.OK, report.Err(), report.Parts[0].State, report.Parts[0].Reason)
	// Output: true <nil> degraded cold
}

// How does a probe see that notifications are dropped?
func ExampleCheckAnnouncing() {
	ctx := context.Background()
	cfg, err := dual.Parse("app.yaml", []byte("durable: { backend: memory }\nrealtime: { backend: memory }\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	stack, err := dual.Open(ctx, cfg, adapters.All())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = stack.Close(ctx) }()
	check := dual.CheckAnnouncing(stack.Publisher)
	fmt.Println(check.Name, check.Optional, check.Check(ctx))
	// Output: announcing true <nil>
}
