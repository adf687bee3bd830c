// Command quickstart stores and announces events, processes them in a group and listens to them live, then shows
// what arrived. It needs nothing by default; -config names a file that takes it to Redis or Kafka.
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
	"sync"
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
	config  string
	events  int
	members int
	group   string
	timeout time.Duration
	json    bool
	metrics string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// command is main with its surroundings passed in.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	live := stdout
	if s.json {
		live = io.Discard
	}
	show := func(r report) error {
		if s.json {
			return json.NewEncoder(stdout).Encode(r)
		}
		return r.table(stdout)
	}
	r, err := run(ctx, s, live, stderr, show)
	if err != nil {
		return err
	}
	return r.verdict()
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.config, "config", "", "configuration `file`; without one everything runs in memory")
	f.IntVar(&s.events, "events", 3000, "events to publish")
	f.IntVar(&s.members, "members", 1, "members of the group")
	f.StringVar(&s.group, "group", "quickstart", "`name` of the group; runs side by side on one broker need one each")
	f.DurationVar(&s.timeout, "timeout", time.Minute, "bound on the whole run")
	f.StringVar(&s.metrics, "metrics", "", "serve /metrics, /live and /ready at this `address`, such as :9090, until Ctrl-C")
	f.BoolVar(&s.json, "json", false, "print one JSON object instead of lines and a table")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: see -help", f.Arg(0))
	}
	if s.events < 1 || s.members < 1 || s.timeout <= 0 {
		return s, errors.New("-events, -members and -timeout are to be positive")
	}
	return s, nil
}

func load(path string) (*dual.Config, error) {
	if path == "" {
		return dual.Parse("memory.yaml", memoryConfig)
	}
	return dual.Load(path)
}

// run publishes, processes and listens until everything that was acknowledged was processed, or the timeout, and shows
// the outcome.
func run(ctx context.Context, s settings, stdout, stderr io.Writer, show func(report) error) (report, error) {
	cfg, err := load(s.config)
	if err != nil {
		return report{}, err
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	obs, err := observe(s.metrics)
	if err != nil {
		return report{}, err
	}
	stack, err := dual.Open(ctx, cfg, adapters.All(), func(o *dual.Options) { o.Logger = logger }, obs.wrap)
	if err != nil {
		return report{}, errors.Join(err, obs.close(ctx))
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ledger := newLedger(s.events)
	err = play(bounded, stack, obs, ledger, s, stdout, stderr)
	outcome := ledger.report(cfg.Durable)
	if err == nil {
		if err = show(outcome); err == nil {
			obs.linger(ctx, stderr)
		}
	}
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	if errClose := errors.Join(obs.close(closing), stack.Close(closing)); errClose != nil {
		logger.Warn("quickstart: closing", "err", errClose)
	}
	return outcome, err
}

// play runs the three parts side by side. A run that ends before it is complete is not an error: the report shows it.
func play(ctx context.Context, stack *dual.Stack, obs *observed, l *ledger, s settings, stdout, stderr io.Writer) error {
	group, err := join(ctx, stack, s.group)
	if err != nil {
		return err
	}
	if err := obs.serve(stack, group, stderr); err != nil {
		return err
	}
	listening, err := listen(ctx, stack, l, stdout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	for range s.members {
		parts.Go(func() {
			if err := consume(ctx, stack, obs, group, l); err != nil {
				cancel(err)
			}
		})
	}
	parts.Go(func() { listening(ctx) })
	parts.Go(func() { progress(ctx, l, stderr) })
	err = publish(ctx, stack.Publisher, l)
	if err == nil {
		l.await(ctx)
	}
	cause := context.Cause(ctx)
	cancel(nil)
	parts.Wait()
	if cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
