package durabletest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/conformance"
)

// env is what a check works with: a test, a backend and a bounded context.
type env struct {
	conformance.Env
	Harness
	Caps abilities
}

func newEnv(t testing.TB, h Harness, caps abilities) *env {
	if h.Partitions == 0 {
		h.Partitions = 4
	}
	if !caps.Partitions {
		h.Partitions = 1
	}
	return &env{Env: conformance.NewEnv(t, h.Patience), Harness: h, Caps: caps}
}

// open returns a handle that is closed after the check.
func (e *env) open() durable.Backend {
	e.Helper()
	b := e.New(e.TB)
	e.Cleanup(func() { _ = e.Within("Close of the backend", b.Close) })
	return b
}

// messages makes n messages with ids prefix-0… spread over keys.
func messages(prefix string, n, keys int) []*message.Message {
	out := make([]*message.Message, n)
	for i := range out {
		id := fmt.Sprintf("%s-%d", prefix, i)
		out[i] = message.NewMessage(id, []byte("payload of "+id))
		out[i].Metadata[durable.MetaID] = id
		out[i].Metadata[durable.MetaPartitionKey] = fmt.Sprintf("key%d", i%keys)
	}
	return out
}

func id(m *message.Message) string { return m.Metadata[durable.MetaID] }

// append stores msgs and fails the test unless all were.
func (e *env) append(b durable.Backend, topic string, msgs ...*message.Message) []durable.Position {
	e.Helper()
	ctx, cancel := e.Soon()
	defer cancel()
	ps, err := b.Append(ctx, topic, msgs...)
	if err != nil {
		e.Fatalf("Append: got %v, want nil", err)
	}
	return ps
}

// join adds a member to group g; it is closed after the check.
func (e *env) join(b durable.Backend, g durable.Group) durable.Consumer {
	e.Helper()
	ctx, cancel := e.Soon()
	defer cancel()
	c, err := b.Consume(ctx, g)
	if err != nil {
		e.Fatalf("Consume: got %v, want nil", err)
	}
	e.Cleanup(func() { _ = e.Within("Close of the consumer", c.Close) })
	return c
}

// leave closes c.
func (e *env) leave(c durable.Consumer) {
	e.Helper()
	e.Do("Close of the consumer", c.Close)
}

// group is one on topic that the backend takes with any number of members.
func (e *env) group(topic string) durable.Group {
	g := durable.Group{Name: "group-" + topic, Topics: durable.Topics(topic)}
	if !e.Caps.OrderedGroup {
		g.Ordering = durable.None
	}
	return g
}

// most is n, or how many of one partition can be held without an answer.
func (e *env) most(n int) int {
	if e.Caps.OneByOne {
		return 1
	}
	return n
}

// collect fetches until n deliveries of distinct ids have come. Where the backend gives them one by one, they are
// acknowledged.
func (e *env) collect(c durable.Consumer, n int) []durable.Delivery {
	e.Helper()
	return e.fetch(c, n, e.Caps.OneByOne)
}

// hold fetches until n deliveries of distinct ids have come, and answers none.
func (e *env) hold(c durable.Consumer, n int) []durable.Delivery {
	e.Helper()
	return e.fetch(c, n, false)
}

func (e *env) fetch(c durable.Consumer, n int, answer bool) []durable.Delivery {
	e.Helper()
	ctx, cancel := e.Soon()
	defer cancel()
	var out []durable.Delivery
	seen := map[string]bool{}
	for len(seen) < n {
		ds, err := c.Fetch(ctx, n)
		if err != nil && ctx.Err() != nil {
			e.Fatalf("Fetch: got %d of %d messages, then %v", len(seen), n, err)
		}
		if err != nil {
			e.Logf("Fetch: %v (transient)", err)
		}
		for _, d := range ds {
			seen[id(d.Message)] = true
		}
		out = append(out, ds...)
		if answer {
			e.ack(c, ds)
		}
	}
	return out
}

// quiet returns what Fetch gives within Quiet, and within two shorter looks after it: a process that stood still has
// seen nothing of the first.
func (e *env) quiet(c durable.Consumer) (out []durable.Delivery) {
	for _, d := range []time.Duration{e.Quiet, e.Quiet / 8, e.Quiet / 8} {
		out = append(out, e.look(c, d)...)
	}
	return out
}

// look returns what Fetch gives within d.
func (e *env) look(c durable.Consumer, d time.Duration) []durable.Delivery {
	ctx, cancel := context.WithTimeout(e.Ctx, d)
	defer cancel()
	var out []durable.Delivery
	for ctx.Err() == nil {
		ds, err := c.Fetch(ctx, 100)
		if err != nil && ctx.Err() == nil {
			e.Logf("Fetch: %v (transient)", err)
		}
		out = append(out, ds...)
		if e.Caps.OneByOne {
			e.ack(c, ds)
		}
	}
	return out
}

// ack finishes ds, all that was fetched of their claims, in the backend's mode.
func (e *env) ack(c durable.Consumer, ds []durable.Delivery) {
	e.Helper()
	if e.Caps.Ack == durable.AckThrough {
		last := map[*durable.Claim]durable.Delivery{}
		for _, d := range ds {
			last[d.Claim] = d
		}
		ds = nil
		for _, d := range last {
			ds = append(ds, d)
		}
	}
	ctx, cancel := e.Soon()
	defer cancel()
	if err := c.Ack(ctx, ds...); err != nil {
		e.Errorf("Ack: got %v, want nil", err)
	}
}

// stored is everything in topic, by Replay where the backend has it, else by a group of its own.
func (e *env) stored(b durable.Backend, topic string, n int) []durable.Record {
	e.Helper()
	if e.Caps.Replay {
		return e.replay(b, topic, durable.Range{})
	}
	g := e.group(topic)
	g.Name = "reader-" + topic
	c := e.join(b, g)
	var out []durable.Record
	var ds []durable.Delivery
	if n > 0 {
		ds = e.collect(c, n)
	}
	for _, d := range append(ds, e.quiet(c)...) {
		out = append(out, durable.Record{
			Message: d.Message, Topic: d.Topic, Partition: d.Claim.Partition(),
			Position: d.Position, Key: d.Key, DecodeErr: d.DecodeErr,
		})
	}
	return out
}

// replay reads r to its end.
func (e *env) replay(b durable.Backend, topic string, r durable.Range) []durable.Record {
	e.Helper()
	var out []durable.Record
	err := e.Within("Replay", func(ctx context.Context) error {
		for rec, err := range b.Replay(ctx, topic, r) {
			if err != nil {
				return err
			}
			out = append(out, rec)
		}
		return nil
	})
	if err != nil {
		e.Fatalf("Replay: got %v, want nil", err)
	}
	return out
}

// once fails the test unless got holds every id of want exactly once.
func (e *env) once(got []string, want []*message.Message) {
	e.Helper()
	count := map[string]int{}
	for _, g := range got {
		count[g]++
	}
	for _, m := range want {
		if n := count[id(m)]; n != 1 {
			e.Errorf("message %s: got it %d times, want once", id(m), n)
		}
		delete(count, id(m))
	}
	if len(count) > 0 {
		e.Errorf("got messages that were not stored here: %v", count)
	}
}

func recordIDs(rs []durable.Record) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = id(r.Message)
	}
	return out
}

func deliveryIDs(ds []durable.Delivery) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = id(d.Message)
	}
	return out
}
