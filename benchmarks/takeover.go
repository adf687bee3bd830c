package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

const (
	envVictim = "DUALSTREAM_BENCH_VICTIM" // makes this program the member of a takeover that is killed
	deadAfter = 3 * time.Second           // lease, ClaimIdle; Kafka's session lasts as long as by default

	// What may pass after that before another member handles what the dead one had.
	redisGrace = time.Second
	kafkaGrace = 3 * time.Second
)

// takeoverPaths have a member killed in a process of its own, and measure until another handles the first of its
// events: the latency of the row.
func takeoverPaths() []path {
	redisTakeover := func(ordering durable.Ordering) func(context.Context, *lab) (turn, error) {
		return func(_ context.Context, l *lab) (turn, error) {
			server, err := l.durableRedis()
			if err != nil {
				return nil, err
			}
			return taken(l, fmt.Sprint("redis ", server.Addr(), " ", int(ordering))), nil
		}
	}
	kafkaTakeover := func(_ context.Context, l *lab) (turn, error) {
		c, err := l.kafka()
		if err != nil {
			return nil, err
		}
		return taken(l, fmt.Sprint("kafka ", strings.Join(c.brokers, ","), " 0")), nil
	}
	row := func(name string, within time.Duration, start func(context.Context, *lab) (turn, error)) path {
		return path{name: name, noRaw: true, goal: goal{within: within}, subjects: []subject{{subjectOurs, start}}}
	}
	return []path{
		row("takeover-redis-ordered", deadAfter+redisGrace, redisTakeover(durable.PerKey)),
		row("takeover-redis", deadAfter+redisGrace, redisTakeover(durable.None)),
		row("takeover-kafka", kafka.DefaultSessionTimeout+kafkaGrace, kafkaTakeover),
	}
}

// openAt opens the backend that "kind address ordering" describes.
func openAt(ctx context.Context, where string) (durable.Backend, durable.Ordering, error) {
	f := strings.Fields(where)
	ordering := durable.PerKey
	if f[2] != "0" {
		ordering = durable.None
	}
	if f[0] == "kafka" {
		b, err := kafka.Open(ctx, kafka.Config{Brokers: strings.Split(f[1], ",")})
		return b, ordering, err
	}
	b, err := redisstream.Open(ctx, redisstream.Config{
		Connection: redisstream.Connection{Addr: f[1]}, LeaseTTL: deadAfter, ClaimIdle: deadAfter,
	})
	return b, ordering, err
}

// victim is the member that is killed: it tells each event that it begins, and finishes none.
func victim(what string) error {
	where, topic, _ := strings.Cut(what, " in ")
	ctx := context.Background()
	b, ordering, err := openAt(ctx, where)
	if err != nil {
		return err
	}
	g := durable.Group{Name: "g", Member: "victim", Topics: durable.Topics(topic), Ordering: ordering}
	return durable.Process(ctx, b, g, func(m *message.Message) error {
		fmt.Println(m.UUID)
		select {}
	}, durable.ProcessOptions{Concurrency: 1})
}

func taken(l *lab, where string) turn {
	return func(ctx context.Context, _ time.Duration) (sample, error) {
		return takeover(ctx, where, l.name("takeover"))
	}
}

// takeover has the victim hold events, kills it and waits for the survivor to handle one that it had begun.
func takeover(ctx context.Context, where, topic string) (s sample, err error) {
	b, ordering, err := openAt(ctx, where)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, b.Close(context.Background())) }()
	if err := b.(durable.Administrator).CreateTopic(ctx, durable.TopicSpec{Name: topic, Partitions: 2}); err != nil {
		return s, err
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	dead := exec.CommandContext(ctx, self)
	dead.Env = append(os.Environ(), envVictim+"="+where+" in "+topic)
	dead.Stderr = os.Stderr
	out, err := dead.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := dead.Start(); err != nil {
		return s, err
	}
	defer func() { _ = dead.Process.Kill(); _ = dead.Wait() }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var begun atomic.Pointer[string]
	handled, ended := make(chan string, 1<<16), make(chan error, 1)
	g := durable.Group{Name: "g", Member: "survivor", Topics: durable.Topics(topic), Ordering: ordering}
	go func() {
		ended <- durable.Process(ctx, b, g, func(m *message.Message) error { handled <- m.UUID; return nil }, durable.ProcessOptions{})
	}()
	lines := bufio.NewScanner(out)
	read := make(chan struct{})
	go func() {
		defer close(read)
		if lines.Scan() {
			id := lines.Text()
			begun.Store(&id)
		}
	}()
	for n := 0; begun.Load() == nil; n++ {
		if _, err := b.Append(ctx, topic, numbered(n)); err != nil {
			return s, err
		}
		if err := pauseFor(ctx, 10*time.Millisecond); err != nil || n > 6000 {
			return s, errors.Join(err, errors.New("the victim gets nothing"))
		}
	}
	<-read
	if err := dead.Process.Kill(); err != nil {
		return s, err
	}
	s, err = timed(func() (int64, error) { return 1, awaitID(ctx, handled, *begun.Load()) })
	s.latencies = latencies{s.elapsed}
	stop()
	return s, errors.Join(err, <-ended)
}

// numbered is an event of a key of its own.
func numbered(n int) *message.Message {
	m := message.NewMessage(fmt.Sprint("e", n), nil)
	m.Metadata[durable.MetaPartitionKey] = m.UUID
	return m
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitID reads until id comes.
func awaitID(ctx context.Context, ids <-chan string, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		select {
		case got := <-ids:
			if got == id {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("nobody takes over: %w", ctx.Err())
		}
	}
}
