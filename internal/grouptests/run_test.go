package grouptests

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	partitions = 4
	keys       = 16
	soon       = 2 * time.Minute
)

// run is a group on a topic, and what it did.
type run struct {
	t       *testing.T
	p       place
	b       backend
	topic   string
	history durabletest.History
	sent    []string
	done    sync.Map // ids whose handler returned nil
	workers sync.Map // members that handled something
}

func newRun(t *testing.T, p place) *run {
	r := &run{t: t, p: p, b: p.open(t), topic: testenv.Name(t, "t")}
	must(t, r.b.CreateTopic(t.Context(), durable.TopicSpec{Name: r.topic, Partitions: partitions}))
	return r
}

// group is the run's, for a member.
func (r *run) group(member string) durable.Group {
	return durable.Group{Name: r.topic + "-g", Member: member, Topics: durable.Topics(r.topic), Ordering: r.p.ordering}
}

// joining tells when a member has joined.
type joining struct {
	backend
	joined chan struct{}
}

func (j joining) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	c, err := j.backend.Consume(ctx, g)
	if err == nil {
		close(j.joined)
	}
	return c, err
}

// member has joined when it returns. work is what its handlers do; leave ends it, and returns what Process does.
func (r *run) member(name string, work func(m *message.Message) error, o durable.ProcessOptions) (leave func() error) {
	r.t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	b := joining{r.p.open(r.t), make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- durable.Process(ctx, b, r.group(name), func(m *message.Message) error {
			return r.history.Ran(name, durable.Key(m), m.UUID, func() error {
				err := work(m)
				if err == nil {
					r.done.Store(m.UUID, true)
					r.workers.Store(name, true)
				}
				return err
			})
		}, o)
	}()
	leave = sync.OnceValue(func() error {
		stop()
		return errors.Join(<-ended, b.Close(context.Background()))
	})
	r.t.Cleanup(func() { _ = leave() })
	select {
	case <-b.joined:
	case <-time.After(soon):
		r.t.Fatalf("%s did not join", name)
	}
	return leave
}

// briefly takes a few milliseconds, as long as the context goes on.
func briefly(m *message.Message) error {
	select {
	case <-time.After(3 * time.Millisecond):
		return nil
	case <-m.Context().Done():
		return m.Context().Err()
	}
}

// publish appends n events; the one with number i is of key i%keys.
func (r *run) publish(n int) {
	r.t.Helper()
	for n > 0 {
		msgs := make([]*message.Message, min(n, 50))
		for i := range msgs {
			msgs[i] = event(len(r.sent) + i)
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), soon)
		_, err := r.b.Append(ctx, r.topic, msgs...)
		cancel()
		must(r.t, err)
		for _, m := range msgs {
			r.appended(m)
		}
		n -= len(msgs)
	}
}

// probe appends one event as soon as the topic takes it.
func (r *run) probe() {
	r.t.Helper()
	m := event(len(r.sent))
	testenv.Await(r.t, soon, func() bool {
		ctx, cancel := context.WithTimeout(r.t.Context(), soon)
		defer cancel()
		_, err := r.b.Append(ctx, r.topic, m)
		var batch *durable.BatchError
		if errors.As(err, &batch) && batch.Outcomes[0].Status == durable.Unknown {
			r.history.Uncertain(m.UUID)
		}
		return err == nil
	}, "the topic takes events")
	r.appended(m)
}

func (r *run) appended(m *message.Message) {
	r.history.Appended(durable.Key(m), m.UUID)
	r.sent = append(r.sent, m.UUID)
}

func event(i int) *message.Message {
	m := message.NewMessage(fmt.Sprint("e", i), nil)
	m.Metadata[durable.MetaPartitionKey] = fmt.Sprint("k", i%keys)
	return m
}

// handled is how many of ids are.
func (r *run) handled(ids []string) (n int) {
	for _, id := range ids {
		if _, ok := r.done.Load(id); ok {
			n++
		}
	}
	return n
}

// awaitHandled waits until n of what was sent is handled.
func (r *run) awaitHandled(n int) {
	r.t.Helper()
	testenv.Await(r.t, soon, func() bool { return r.handled(r.sent) >= n }, fmt.Sprintf("%d events are handled", n))
}

// awaitAtWork publishes, a round of all keys at a time, until each of members has handled something and all is handled.
func (r *run) awaitAtWork(members ...string) {
	r.t.Helper()
	testenv.Await(r.t, soon, func() bool {
		r.publish(keys)
		r.awaitHandled(len(r.sent))
		return !slices.ContainsFunc(members, func(name string) bool { _, ok := r.workers.Load(name); return !ok })
	}, "every member is at work")
}

// awaitCommitted waits until the group has acknowledged all that is stored.
func (r *run) awaitCommitted() {
	r.t.Helper()
	var lags []durable.PartitionLag
	var err error
	defer func() {
		if r.t.Failed() {
			r.t.Logf("lag: %+v, %v", lags, err)
		}
	}()
	testenv.Await(r.t, soon, func() bool {
		lags, err = r.b.Lag(r.t.Context(), r.group("").Name, r.topic)
		for _, l := range lags {
			if l.Lag != 0 || l.Pending != 0 {
				return false
			}
		}
		return err == nil && len(lags) == partitions
	}, "every event is acknowledged")
}

// settle waits until all is handled and acknowledged but what was sent before from, which the server may have lost, and
// holds the history against p.
func (r *run) settle(p durabletest.Promise, from int) {
	r.t.Helper()
	testenv.Await(r.t, soon, func() bool { return r.handled(r.sent[from:]) == len(r.sent)-from }, "every event is handled")
	r.awaitCommitted()
	report := r.history.Check(p)
	report.Lost = slices.DeleteFunc(report.Lost, func(id string) bool { return slices.Contains(r.sent[:from], id) })
	if err := report.Err(); err != nil {
		r.t.Error(err)
	}
}

// promise is what holds where nobody dies: each event once, and those of a key in order where that is promised.
func (r *run) promise() durabletest.Promise {
	return durabletest.Promise{Once: true, Ordered: r.p.ordered(), Serial: r.p.ordered()}
}
