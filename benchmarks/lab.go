package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
)

// lab starts servers when a path first asks for them and ends what paths and servers leave behind.
type lab struct {
	ctx      context.Context
	tb       *program
	redis    *testenv.RedisServer
	secure   *testenv.RedisServer // over TLS
	files    testenv.Certificates // of secure
	realtime *testenv.RedisServer
	one      *cluster
	three    *cluster
	behind   *cluster       // one broker over TLS
	path     []func() error // to end with the path
	all      []func() error // to end with the program
}

func newLab(ctx context.Context) *lab { return &lab{ctx: ctx, tb: &program{ctx: ctx}} }

// after registers what ends with the path, last first.
func (l *lab) after(end func() error) { l.path = append(l.path, end) }

func (l *lab) endPath() error {
	err := endAll(l.path)
	l.path = nil
	return err
}

func (l *lab) close() error {
	err := errors.Join(l.endPath(), endAll(l.all))
	l.all = nil
	return errors.Join(err, l.tb.end())
}

func endAll(ends []func() error) error {
	var errs []error
	for _, end := range slices.Backward(ends) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// name is a name for a topic, group or channel that nobody else uses.
func (l *lab) name(prefix string) string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return "bench-" + prefix + "-" + hex.EncodeToString(b[:])
}

// Redis is private, because the rewrite of a shared server's append-only file falls into some turns and not into
// others. It appends to a file with an fsync every second.
func (l *lab) durableRedis() (*testenv.RedisServer, error) { return l.privateRedis(&l.redis, "yes") }

// realtimeRedis carries notifications only and can be frozen.
func (l *lab) realtimeRedis() (*testenv.RedisServer, error) { return l.privateRedis(&l.realtime, "no") }

func (l *lab) privateRedis(at **testenv.RedisServer, appendOnly string) (*testenv.RedisServer, error) {
	if *at != nil {
		return *at, nil
	}
	err := l.tb.try(func() {
		*at = testenv.StartRedis(l.tb, testenv.RedisOptions{
			AppendOnly: appendOnly, Settings: []string{"--auto-aof-rewrite-percentage", "0"},
		})
	})
	return *at, err
}

// kafka is one broker.
func (l *lab) kafka() (*cluster, error) { return l.privateKafka(&l.one, 1) }

// kafka3 is a cluster of three brokers with three replicas.
func (l *lab) kafka3() (*cluster, error) { return l.privateKafka(&l.three, 3) }

// Kafka is private, too: with the default buffers, of which not even two loopback packets fit into one, many
// requests over 64 KiB wait 40 ms for a delayed acknowledgement of TCP.
func (l *lab) privateKafka(at **cluster, nodes int) (*cluster, error) {
	if *at != nil {
		return *at, nil
	}
	var brokers []string
	err := l.tb.try(func() {
		brokers = testenv.StartKafka(l.tb, kafkaOptions(nodes)).Brokers()
	})
	if err != nil {
		return nil, err
	}
	*at, err = newCluster(l, brokers, int16(nodes))
	return *at, err
}

func kafkaOptions(nodes int) testenv.KafkaOptions {
	return testenv.KafkaOptions{Nodes: nodes, Heap: "768m", Config: []string{
		"socket.receive.buffer.bytes=-1", "socket.send.buffer.bytes=-1", "replica.socket.receive.buffer.bytes=4194304",
	}}
}

// program is what private servers need of a test, for a program that is none. Methods it does not have are not used.
type program struct {
	testing.TB
	ctx      context.Context
	cleanups []func() error
}

// fatal is what Fatalf panics with, for try.
type fatal struct{ error }

func (p *program) Helper()                  {}
func (p *program) Failed() bool             { return false }
func (p *program) Logf(string, ...any)      {}
func (p *program) Context() context.Context { return p.ctx }

func (p *program) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

func (p *program) Cleanup(f func()) {
	p.cleanups = append(p.cleanups, func() error { return p.try(f) })
}

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "dualstream-bench-")
	if err != nil {
		p.Fatalf("%w", err)
	}
	p.cleanups = append(p.cleanups, func() error { return os.RemoveAll(dir) })
	return dir
}

// try runs f and returns what it was fatal about.
func (p *program) try(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fatal:
			err = r.error
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

func (p *program) end() error {
	err := endAll(p.cleanups)
	p.cleanups = nil
	return err
}
