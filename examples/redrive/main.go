// Command redrive looks into a poison topic and empties it: list, show, redrive and drop what is in it.
//
//	go run ./examples/redrive -config examples/quickstart/redis.yaml -topic orders.poison list
//	go run ./examples/redrive -config examples/quickstart/redis.yaml -topic orders.poison -class panic -since 2h show
//	go run ./examples/redrive -config examples/quickstart/redis.yaml -topic orders.poison -type order.created -rate 50 -dry-run redrive
//	go run ./examples/redrive -config examples/quickstart/redis.yaml -topic orders.poison -id 0192f0c1-… drop
//
// A poison topic is made with its first event, by a group whose file has the section poison; until then there is nothing
// to list. An event that was moved is handled again by the group it failed in, when that runs.
//
// What was moved or dropped is noted in a topic beside it ({topic}.done); a run that breaks off is resumed by the next.
package main

import (
	"context"
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

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

const closeTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "redrive:", err)
		os.Exit(1)
	}
}

// command is main with its surroundings passed in.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	stack, err := open(ctx, s.config, stderr)
	if err != nil {
		return err
	}
	err = run(ctx, stack.Durable, s, stdout, stderr)
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	return errors.Join(err, stack.Close(closing))
}

// open opens the durable backend of the file alone, and creates none of its topics.
func open(ctx context.Context, path string, stderr io.Writer) (*dual.Stack, error) {
	cfg, err := dual.Load(path)
	if err != nil {
		return nil, err
	}
	if err := cfg.Check(adapters.All()); err != nil {
		return nil, err
	}
	if cfg.Durable == "memory" {
		return nil, fmt.Errorf("%s: the backend memory lives and ends with its own process: name a file with another one", path)
	}
	cfg.Topics, cfg.Realtime = nil, ""
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return dual.Open(ctx, cfg, adapters.All(), func(o *dual.Options) { o.Logger = logger })
}

// settings are the command line.
type settings struct {
	config  string
	verb    string
	redrive middleware.Redrive
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var since, until, to string
	r := &s.redrive
	f := flag.NewFlagSet("redrive", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: redrive -config FILE -topic TOPIC [flags] list | show | redrive | drop")
		f.PrintDefaults()
	}
	f.StringVar(&s.config, "config", "", "configuration `file` of the backend")
	f.StringVar(&r.Topic, "topic", "", "poison `topic`, such as orders.poison")
	list := func(into *[]string, name, usage string) {
		f.Func(name, usage+"; several with commas", func(v string) error {
			*into = append(*into, strings.Split(v, ",")...)
			return nil
		})
	}
	list(&r.Select.Classes, "class", "only this `class`: "+strings.Join(classes(), ", "))
	list(&r.Select.Types, "type", "only events of this `type`")
	list(&r.Select.IDs, "id", "only the event with this `id`")
	list(&r.Select.Groups, "group", "only what failed in this `group`")
	f.StringVar(&since, "since", "", "only what failed at this `time` or later: RFC 3339, or an age such as 2h")
	f.StringVar(&until, "until", "", "only what failed before this `time`")
	f.StringVar(&to, "to", "", "move to this `topic` instead of each event's own")
	f.IntVar(&r.Limit, "limit", 0, "at most so many events; 0: all")
	f.Float64Var(&r.PerSecond, "rate", 0, "at most so many events a second; 0: no bound")
	f.IntVar(&r.MaxLoops, "max-loops", 0, fmt.Sprintf("leave what was moved so often; 0: %d", middleware.DefaultMaxLoops))
	f.BoolVar(&r.DryRun, "dry-run", false, "count, and change nothing")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if to != "" {
		r.To = func(middleware.PoisonRecord) string { return to }
	}
	var err error
	if r.Select.Since, err = moment(since, time.Now()); err != nil {
		return s, fmt.Errorf("-since: %w", err)
	}
	if r.Select.Until, err = moment(until, time.Now()); err != nil {
		return s, fmt.Errorf("-until: %w", err)
	}
	if s.config == "" {
		return s, errors.New("-config is missing: name the file that describes the backend")
	}
	for _, c := range r.Select.Classes {
		if !slices.Contains(classes(), c) {
			return s, fmt.Errorf("-class %q: use one of %s", c, strings.Join(classes(), ", "))
		}
	}
	return s, s.choose(f.Args())
}

// classes are the reasons for which events are poisoned.
func classes() []string {
	return []string{
		middleware.ReasonPermanent, middleware.ReasonExhausted, middleware.ReasonPanic, middleware.ReasonTimeout,
		middleware.ReasonUndecodable, middleware.ReasonRejected, middleware.ReasonFailed,
	}
}

// choose reads the verb.
func (s *settings) choose(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one of list, show, redrive and drop after the flags, not %q", args)
	}
	switch s.verb = args[0]; s.verb {
	case "list", "show", "redrive", "drop":
		if s.redrive.Topic == "" {
			return errors.New("-topic is missing: name a poison topic, such as orders.poison")
		}
		return durable.CheckTopic(s.redrive.Topic)
	default:
		return fmt.Errorf("unknown command %q: use list, show, redrive or drop", s.verb)
	}
}

// moment reads a time or an age.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(text); err == nil {
		return now.Add(-age), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is neither a time such as 2026-01-31T12:00:00Z nor an age such as 2h", text)
	}
	return at, nil
}

// run carries the verb out.
func run(ctx context.Context, b durable.Backend, s settings, stdout, stderr io.Writer) error {
	s.redrive.Backend = b
	switch s.verb {
	case "list":
		return list(ctx, s.redrive, stdout)
	case "show":
		return show(ctx, s.redrive, stdout)
	}
	seen, err := look(s.redrive.List(ctx), func(middleware.PoisonRecord) error { return nil })
	if err != nil {
		return err
	}
	if seen.foreign() && (s.verb == "drop" || s.redrive.To == nil) {
		return fmt.Errorf("%s", seen.doubt(s.redrive.Topic))
	}
	bar := newBar(stderr, seen.total)
	s.redrive.Progress = func(r middleware.RedriveReport) { bar.at(r.Moved + r.Dropped + r.Looping + r.Missing) }
	do := s.redrive.Run
	if s.verb == "drop" {
		do = s.redrive.Drop
	}
	report, err := do(ctx)
	bar.end()
	return errors.Join(err, summary(stdout, s, report), seen.explain(ctx, s.redrive, stdout))
}
