// Command benchmarks compares this module with the raw clients of its brokers and with Watermill's adapters, on real
// servers that it starts itself. Every event has a payload of 256 bytes and six metadata entries.
//
// The subjects of a path take turns, in alternating order, so that a machine that becomes slower is slower for all of
// them; a ratio is the median of the ratios of the turns, and stands with its standard error where there are turns enough
// to tell. After each turn what was stored or acknowledged is counted at the server, and a count that differs fails the
// path. A row that has a goal tells it and whether it was reached; a ratio that is closer to its goal than its error is
// to be measured again, with longer -dur or more -reps.
//
// The whole table takes about twenty minutes on two cores, with the starts of four brokers in it. A group of rows,
// such as -run '^redis-' or -run '^dual-' with -dur 500ms, takes a minute.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if what := os.Getenv(envVictim); what != "" {
		fmt.Fprintln(os.Stderr, "benchmarks: victim:", victim(what))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	run  *regexp.Regexp
	dur  time.Duration
	reps int
	json bool
	list bool

	profile string
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	var expr string
	f := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&expr, "run", "", "measure only the paths whose name matches this `regexp`")
	f.DurationVar(&o.dur, "dur", 2*time.Second, "how long one turn of a subject lasts")
	f.IntVar(&o.reps, "reps", 3, "turns of every subject")
	f.BoolVar(&o.json, "json", false, "print one JSON object a row instead of a table")
	f.BoolVar(&o.list, "list", false, "print the names of the paths and end")
	f.StringVar(&o.profile, "cpuprofile", "", "write a processor profile, labelled by path and subject, to this `file`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.dur <= 0 || o.reps <= 0 {
		return o, errors.New("-dur and -reps must be positive")
	}
	var err error
	o.run, err = regexp.Compile(expr)
	return o, err
}

// run measures what args select and reports it as it comes. A path that fails does not stop the others.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) == 1 && args[0] == passCommand {
		return carryOut(ctx, os.Stdin, out)
	}
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	var chosen []path
	for _, p := range paths() {
		if o.run.MatchString(p.name) {
			chosen = append(chosen, p)
		}
	}
	if o.list {
		for _, p := range chosen {
			fmt.Fprintln(out, p.name)
		}
		return nil
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no path matches -run %q; -list names them", o.run)
	}
	return profiled(o.profile, func() error { return measure(ctx, chosen, o, out) })
}

func measure(ctx context.Context, chosen []path, o options, out io.Writer) (err error) {
	rep, l := newReport(out, o.json), newLab(ctx)
	defer func() { err = errors.Join(err, l.close(), rep.end()) }()
	for _, p := range chosen {
		rows, perr := p.measure(ctx, l, o.dur, o.reps)
		rep.add(rows)
		if perr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, perr))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// paths are all paths, in the order of the report.
func paths() []path {
	var ps []path
	ps = append(ps, redisPaths()...)
	ps = append(ps, memberPaths()...)
	ps = append(ps, costPaths()...)
	ps = append(ps, takeoverPaths()...)
	ps = append(ps, slowPaths()...)
	ps = append(ps, kafkaPaths("kafka", (*lab).kafka, flush{250, time.Millisecond})...)
	ps = append(ps, kafkaTLSPaths()...)
	ps = append(ps, kafkaPaths("kafka3", (*lab).kafka3, flush{1000, time.Millisecond})...)
	ps = append(ps, memoryPaths()...)
	ps = append(ps, enginePaths()...)
	ps = append(ps, facadePaths((*lab).kafka)...)
	ps = append(ps, observedPaths()...)
	ps = append(ps, stackPaths()...)
	ps = append(ps, dualPaths()...)
	ps = append(ps, realtimePaths()...)
	ps = append(ps, rssPaths()...)
	return ps
}
