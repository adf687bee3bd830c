// Command tickets publishes tickets and handles them in a group whose members share the work: in one process on
// memory by default, or in as many terminals as you like on Redis Streams (redis.yaml) or Kafka (kafka.yaml).
//
//	go run ./examples/tickets
//	go run ./examples/tickets -config examples/tickets/redis.yaml -role consumer   # in five terminals
//	go run ./examples/tickets -config examples/tickets/redis.yaml -role publisher
//
// A handler takes 100 ms, so that a loop that handles one ticket after the other would take five minutes.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
)

//go:embed memory.yaml
var memoryConfig []byte

const closeTimeout = 5 * time.Second

// settings are the flags.
type settings struct {
	config      string
	tickets     int
	concurrency int
	members     int
	role        string
	order       string
	group       string
	work        time.Duration
	timeout     time.Duration
	verbose     bool
	json        bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tickets:", err)
		os.Exit(1)
	}
}

// command is main with its surroundings passed in.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	r, err := run(ctx, s, stdout, stderr)
	if err != nil {
		return err
	}
	if s.json {
		return errors.Join(json.NewEncoder(stdout).Encode(r), r.verdict())
	}
	return errors.Join(r.table(stdout), r.verdict())
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("tickets", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.config, "config", "", "configuration `file`; without one everything runs in memory")
	f.IntVar(&s.tickets, "tickets", 3000, "entries to publish: each ticket is received, assigned and closed")
	f.IntVar(&s.concurrency, "concurrency", 100, "handlers side by side in a member")
	f.IntVar(&s.members, "members", 1, "members of the group in this process")
	f.StringVar(&s.role, "role", roleBoth, "publisher, consumer or both")
	f.StringVar(&s.order, "order", orderKey, "key: in order per ticket; none: members compete for entries, in no order (Kafka keeps it all the same)")
	f.StringVar(&s.group, "group", "tickets", "`name` of the group; a new one begins with everything that is stored, earlier runs included")
	f.DurationVar(&s.work, "work", 100*time.Millisecond, "how long a handler takes")
	f.DurationVar(&s.timeout, "timeout", 10*time.Minute, "bound on the whole run")
	f.BoolVar(&s.verbose, "v", false, "print a line for every entry that is handled")
	f.BoolVar(&s.json, "json", false, "print one JSON object instead of a table")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: see -help", f.Arg(0))
	}
	if s.role != rolePublisher && s.role != roleConsumer && s.role != roleBoth {
		return s, fmt.Errorf("-role %q: use publisher, consumer or both", s.role)
	}
	if s.order != orderKey && s.order != orderNone {
		return s, fmt.Errorf("-order %q: use key or none", s.order)
	}
	if s.tickets < 1 || s.concurrency < 1 || s.members < 1 || s.work < 0 || s.timeout <= 0 {
		return s, errors.New("-tickets, -concurrency, -members and -timeout are to be positive")
	}
	return s, nil
}

// open opens what the file describes.
func open(ctx context.Context, s settings, logger *slog.Logger) (*dual.Stack, *dual.Config, error) {
	cfg, err := dual.Parse("memory.yaml", memoryConfig)
	if s.config != "" {
		cfg, err = dual.Load(s.config)
	}
	if err != nil {
		return nil, nil, err
	}
	stack, err := dual.Open(ctx, cfg, adapters.All(), func(o *dual.Options) { o.Logger = logger })
	return stack, cfg, err
}
