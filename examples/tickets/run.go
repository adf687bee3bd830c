package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

const (
	rolePublisher = "publisher"
	roleConsumer  = "consumer"
	roleBoth      = "both"

	orderKey  = "key"
	orderNone = "none"

	lookEvery = 100 * time.Millisecond // at what the group has left
	batch     = 100                    // entries published at once

	sourceType = "ticket"
)

// steps are what happens to a ticket, in this order.
func steps() []string { return []string{"ticket received", "ticket assigned", "ticket closed"} }

// run plays the role until nothing is left to handle, or the timeout.
func run(ctx context.Context, s settings, stdout, stderr io.Writer) (report, error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	stack, cfg, err := open(ctx, s, logger)
	if err != nil {
		return report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	l := newLedger()
	if s.verbose {
		l.out = stdout
	}
	err = play(ctx, stack, s, l)
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	if errClose := stack.Close(closing); errClose != nil {
		logger.Warn("tickets: closing", "err", errClose)
	}
	return l.report(cfg.Durable, s.order), err
}

func play(ctx context.Context, stack *dual.Stack, s settings, l *ledger) error {
	if s.role == rolePublisher {
		return publish(ctx, stack.Publisher, s.tickets, l)
	}
	group := stack.Group(s.group)
	if s.order == orderNone {
		group.Ordering = durable.None
	}
	if err := create(ctx, stack.Durable, group); err != nil {
		return err
	}
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	team := &crew{Backend: stack.Durable}
	var members sync.WaitGroup
	for i := range s.members {
		members.Go(func() {
			if err := work(working, team, stack.Process, group, s, l, strconv.Itoa(i+1)); err != nil {
				stop(err)
			}
		})
	}
	var err error
	if s.role == roleBoth {
		team.awaitShares(working, s.members, stack.Topic())
		err = publish(working, stack.Publisher, s.tickets, l)
	}
	if err == nil {
		err = finished(working, stack, group, s.role, l)
	}
	if cause := context.Cause(working); cause != nil && ctx.Err() == nil {
		err = cause // of a member
	}
	stop(nil)
	members.Wait()
	return err
}

// create makes the group before anything is published.
func create(ctx context.Context, b durable.Backend, g durable.Group) error {
	c, err := b.Consume(ctx, g)
	if err != nil {
		return fmt.Errorf("create the group: %w", err)
	}
	return c.Close(ctx)
}

// window is the MaxInFlight that has n handlers busy with one partition, of which Process leaves an eighth free.
func window(n int) int { return n + n/7 }

// work is one member of the group. It holds hardly more tickets than it handles, so that others get their share.
func work(ctx context.Context, b durable.Backend, o durable.ProcessOptions, g durable.Group, s settings, l *ledger, name string) error {
	o.Concurrency, o.MaxInFlight, o.FetchSize = s.concurrency, window(s.concurrency), max(1, s.concurrency/4)
	handler := func(msg *message.Message) error {
		l.starting(durable.Key(msg), msg.Metadata.Get(durable.MetaType))
		defer l.ended()
		if err := wait(msg.Context(), s.work); err != nil {
			return err
		}
		l.handled(name, durable.Key(msg), msg.Metadata.Get(durable.MetaType))
		return nil
	}
	return durable.Process(ctx, b, g, handler, o)
}

// ticketEvent is what happened to a ticket, once.
func ticketEvent(happened, ticket, data string) durable.Event {
	return durable.Event{
		ID: ticket + "/" + happened, Type: happened, SourceType: sourceType, SourceID: ticket, Data: []byte(data),
	}
}

// publish stores n entries: all tickets are received, then assigned, then closed.
func publish(ctx context.Context, p *dual.Publisher, n int, l *ledger) error {
	tickets := (n + len(steps()) - 1) / len(steps())
	name := rand.Text()[:6]
	events := make([]durable.Event, 0, batch)
	for i := range n {
		step, ticket := steps()[i/tickets], name+"-"+strconv.Itoa(i%tickets)
		events = append(events, ticketEvent(step, ticket, "data of "+ticket))
		if len(events) < batch && i < n-1 {
			continue
		}
		if _, err := p.Publish(ctx, events...); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		l.publishing(len(events))
		events = events[:0]
	}
	return nil
}

// finished returns when the group has nothing left. A consumer that is there before anything is published waits for
// it.
func finished(ctx context.Context, stack *dual.Stack, g durable.Group, role string, l *ledger) error {
	reporter, ok := stack.Durable.(durable.LagReporter)
	if !ok {
		return errors.New("this backend does not tell what is left: end it by Ctrl-C")
	}
	begun := role == roleBoth
	var lags []durable.PartitionLag
	for {
		if err := wait(ctx, lookEvery); err != nil {
			return unfinished(err, lags)
		}
		now, err := reporter.Lag(ctx, g.Name, stack.Topic())
		if errors.Is(err, durable.ErrUnavailable) {
			continue
		}
		if err != nil {
			return unfinished(err, lags)
		}
		lags = now
		left := slices.ContainsFunc(lags, isLeft)
		begun = begun || left || l.any()
		if begun && !left {
			return nil
		}
	}
}

func isLeft(p durable.PartitionLag) bool { return p.Lag != 0 || p.Pending != 0 }

// unfinished is err with what was left at the last look.
func unfinished(err error, lags []durable.PartitionLag) error {
	for _, p := range lags {
		if !isLeft(p) {
			continue
		}
		err = fmt.Errorf("%w; partition %d: %d to read, %d pending", err, p.Partition, p.Lag, p.Pending)
		for _, m := range p.Members {
			err = fmt.Errorf("%w, %d of them at %s for %s", err, m.Pending, m.Member, m.OldestPending.Round(time.Second))
		}
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
