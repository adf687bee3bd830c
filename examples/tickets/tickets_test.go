package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	redisYAML = "redis.yaml"
	soon      = 60 * time.Second
	bound     = "2m" // on a run
)

func TestMain(m *testing.M) {
	testenv.RunHelper(map[string]func(){"terminal": terminal})
	leaktest.Main(m, testenv.Leaks()...)
}

// terminal is the command in a process of its own, with the arguments of T_ARGS.
func terminal() {
	if err := command(context.Background(), strings.Fields(os.Getenv("T_ARGS")), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runCommand runs the command to its end and returns what it reports.
func runCommand(t *testing.T, args ...string) report {
	t.Helper()
	r, err := tryCommand(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tryCommand is runCommand for a goroutine other than the test's.
func tryCommand(ctx context.Context, args ...string) (report, error) {
	var stdout, stderr bytes.Buffer
	if err := command(ctx, append([]string{"-json", "-timeout", bound}, args...), &stdout, &stderr); err != nil {
		return report{}, fmt.Errorf("tickets %v: %w\n%s%s", args, err, &stdout, &stderr)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%w: %q", err, &stdout)
	}
	return r, nil
}

// privateRedis makes redis.yaml mean a server of this test and returns a plain client of it.
func privateRedis(t *testing.T) *redis.Client {
	t.Helper()
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	t.Setenv("REDIS_ADDR", server.Addr())
	return server.Client()
}

func checkComplete(t *testing.T, r report, entries int) {
	t.Helper()
	if r.Published != entries || r.Processed != entries || r.Duplicates != 0 {
		t.Errorf("got %+v, want %d entries published and processed", r, entries)
	}
}

func TestEveryFileIsACompleteConfiguration(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("got %v, %v, want three files", files, err)
	}
	for _, file := range files {
		cfg, err := dual.Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := cfg.Check(adapters.All()); err != nil || cfg.Topics["tickets"].Partitions != 10 {
			t.Errorf("%s: got %v and topics %v, want 10 partitions of tickets", file, err, cfg.Topics)
		}
	}
}

func TestOneMemberHandlesTicketsSideBySideInOrder(t *testing.T) {
	for _, concurrency := range []string{"1", "100"} {
		r := runCommand(t, "-tickets", "301", "-work", "1ms", "-concurrency", concurrency)
		checkComplete(t, r, 301)
		if r.OrderViolations != 0 || r.PerMember["1"] != 301 || r.Backend != "memory" {
			t.Errorf("got %+v, want everything in order by one member", r)
		}
	}
}

func TestMembersShareTheTicketsOfRedis(t *testing.T) {
	privateRedis(t)
	for _, order := range []string{orderKey, orderNone} {
		r := runCommand(t, "-config", redisYAML, "-members", "5", "-concurrency", "20", "-work", "20ms", "-order", order, "-group", order)
		if r.Processed < 3000 || r.Duplicates != 0 || len(r.PerMember) != 5 {
			t.Errorf("-order %s: got %+v, want 3000 entries processed by 5 members", order, r)
		}
		if order == orderKey && r.OrderViolations != 0 {
			t.Errorf("got %d out of order", r.OrderViolations)
		}
		for name, n := range r.PerMember {
			if !even(order, n, r.Processed) {
				t.Errorf("-order %s: member %s handled %d of %d", order, name, n, r.Processed)
			}
		}
		t.Logf("-order %s: %v", order, r.PerMember)
	}
}

func TestEntriesAreThePlainFieldsOfOtherClients(t *testing.T) {
	client := privateRedis(t)
	published := runCommand(t, "-config", redisYAML, "-role", rolePublisher, "-tickets", "30")
	if published.Published != 30 || published.Processed != 0 {
		t.Errorf("got %+v, want 30 published", published)
	}
	read := 0
	for p := range 10 {
		entries, err := client.XRange(t.Context(), "{tickets:"+strconv.Itoa(p)+"}", "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			happened, _ := e.Values["whatHappened"].(string)
			if len(e.Values) != 3 || !strings.HasPrefix(happened, "ticket ") || e.Values["ticketID"] == "" {
				t.Errorf("got %v, want the three fields of a ticket", e.Values)
			}
			read++
		}
	}
	if read != 30 {
		t.Errorf("a plain client reads %d entries, want 30", read)
	}
	foreign := []any{"whatHappened", "ticket received", "ticketID", 42, "ticketData", "some ticket data"}
	if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "{tickets:3}", Values: foreign}).Err(); err != nil {
		t.Fatal(err)
	}
	if r := runCommand(t, "-config", redisYAML, "-role", roleConsumer, "-work", "1ms"); r.Processed != 31 || r.OrderViolations != 0 {
		t.Errorf("got %+v, want 31 processed in order", r)
	}
}

func TestAKilledMemberLosesNothing(t *testing.T) {
	for _, order := range []string{orderKey, orderNone} {
		t.Run("-order "+order, func(t *testing.T) {
			privateRedis(t)
			victim := testenv.Reexec(t, "terminal", "T_ARGS=-config "+redisYAML+" -role consumer -work 20ms -concurrency 10 -v -order "+order)
			var got report
			var err error
			var run sync.WaitGroup
			run.Go(func() {
				got, err = tryCommand(t.Context(), "-config", redisYAML, "-work", "20ms", "-concurrency", "10", "-order", order)
			})
			victim.AwaitLine(soon, "handled ")
			victim.Kill()
			run.Wait()
			if err != nil {
				t.Fatal(err)
			}
			byVictim := 0
			for _, line := range victim.Lines() {
				if strings.HasPrefix(line, "handled ") {
					byVictim++
				}
			}
			if got.Published != 3000 || got.Processed+byVictim < 3000 || order == orderKey && got.OrderViolations != 0 {
				t.Errorf("got %+v and %d by the killed member, want 3000 in all", got, byVictim)
			}
			if byVictim == 0 || got.Processed == 0 {
				t.Errorf("got %d and %d entries, want both to work", got.Processed, byVictim)
			}
		})
	}
}

// lookedAt is a backend of whose groups one look is taken.
type lookedAt struct {
	durable.Backend
	over context.CancelFunc
}

func (b lookedAt) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	defer b.over()
	return b.Backend.(durable.LagReporter).Lag(ctx, group, topic)
}

func TestARunThatDoesNotEndTellsWhatIsLeft(t *testing.T) {
	stack, _, err := open(t.Context(), settings{}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	consumer, err := stack.Durable.Consume(ctx, durable.Group{Name: "g", Member: "one", Topics: durable.Topics(stack.Topic())})
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	if err := publish(ctx, stack.Publisher, 1, l); err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Fetch(ctx, 1); err != nil {
		t.Fatal(err)
	}
	stack.Durable = lookedAt{stack.Durable, cancel}
	err = finished(ctx, stack, durable.Group{Name: "g"}, roleBoth, l)
	for _, want := range []string{"partition ", "pending", " at one for"} {
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want the partition, what is pending and of whom", err)
		}
	}
	if err := errors.Join(consumer.Close(t.Context()), stack.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"positive":   {"-tickets", "0"},
		"unexpected": {"more"},
		"no such":    {"-config", "none.yaml"},
		"-role":      {"-role", "boss"},
		"-order":     {"-order", "random"},
	} {
		var out bytes.Buffer
		if err := command(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error with %q", args, err, want)
		}
	}
}
