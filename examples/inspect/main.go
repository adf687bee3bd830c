// Command inspect prints what is stored in the topics of a configuration file, and how far their groups are behind: one
// table for all backends, where Redis has XINFO STREAM and XINFO GROUPS, and Kafka kafka-consumer-groups --describe.
//
//	go run ./examples/inspect -config examples/quickstart/redis.yaml
//	go run ./examples/inspect -config examples/quickstart/kafka.yaml -group quickstart -watch
//
// The columns and what they are elsewhere:
//
//	RECORDS         length
//	OLDEST, NEWEST  first-entry, last-entry; NEWEST is one before LOG-END-OFFSET
//	GROUP           name; GROUP
//	POSITION        last-delivered-id; one before CURRENT-OFFSET
//	LAG             lag; LAG
//	PENDING         pending
//	OLDEST PENDING  the age of what XPENDING shows first
//	MEMBERS         the members that own the partition or hold some of PENDING, and how many; CONSUMER-ID
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
)

const closeTimeout = 5 * time.Second

// settings are the flags.
type settings struct {
	config   string
	topics   names
	groups   names
	watch    bool
	interval time.Duration
	json     bool
}

// names is a flag that may be given several times, and may hold several names separated by commas.
type names []string

// String implements flag.Value.
func (n *names) String() string { return strings.Join(*n, ",") }

// Set implements flag.Value.
func (n *names) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		if name == "" {
			return errors.New("a name is missing")
		}
		*n = append(*n, name)
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "inspect:", err)
		os.Exit(1)
	}
}

// command is main with its surroundings passed in.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	stack, err := open(ctx, &s, stderr)
	if err != nil {
		return err
	}
	defer func() {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer done()
		err = errors.Join(err, stack.Close(closing))
	}()
	if !s.watch {
		return show(ctx, stack, s, stdout)
	}
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			_, _ = fmt.Fprint(f, "\x1b[H\x1b[2J")
		}
		if err := show(ctx, stack, s, stdout); err != nil && ctx.Err() == nil {
			fmt.Fprintln(stdout, "error:", err) // the broker may come back
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("inspect", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.config, "config", "", "configuration `file`; required")
	f.Var(&s.topics, "topic", "`name` of a topic, again for more; defaults to those of the file")
	f.Var(&s.groups, "group", "`name` of a group, again for more; defaults to all that have consumed the topic")
	f.BoolVar(&s.watch, "watch", false, "refresh until Ctrl-C")
	f.DurationVar(&s.interval, "interval", time.Second, "between refreshes")
	f.BoolVar(&s.json, "json", false, "print JSON instead of a table")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: see -help", f.Arg(0))
	}
	if s.config == "" {
		return s, errors.New("-config is missing: name the file whose backend is to be inspected")
	}
	if s.interval <= 0 {
		return s, errors.New("-interval is to be positive")
	}
	return s, nil
}

// open opens the durable backend of the file alone, and creates nothing in it.
func open(ctx context.Context, s *settings, stderr io.Writer) (*dual.Stack, error) {
	cfg, err := dual.Load(s.config)
	if err != nil {
		return nil, err
	}
	if err := cfg.Check(adapters.All()); err != nil {
		return nil, err
	}
	if cfg.Durable == "memory" {
		return nil, fmt.Errorf("%s: the backend memory lives and ends with its own process: name a file with another one", s.config)
	}
	configured := make([]string, 0, len(cfg.Topics))
	for name := range cfg.Topics {
		configured = append(configured, name)
	}
	slices.Sort(configured)
	cfg.Topics, cfg.Realtime = nil, ""
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	stack, err := dual.Open(ctx, cfg, adapters.All(), func(o *dual.Options) { o.Logger = logger })
	if err != nil {
		return nil, err
	}
	if len(s.topics) == 0 {
		s.topics = configured
	}
	if len(s.topics) == 0 {
		s.topics = names{stack.Topic()}
	}
	return stack, nil
}

func show(ctx context.Context, stack *dual.Stack, s settings, out io.Writer) error {
	rows, err := inspect(ctx, stack.Durable, s.topics, s.groups)
	if err != nil {
		return err
	}
	if s.json {
		return json.NewEncoder(out).Encode(rows)
	}
	return table(out, rows)
}
