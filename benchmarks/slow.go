package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const (
	slowEvents      = 3000
	slowKeys        = 1000
	slowHandling    = 100 * time.Millisecond // of every event
	slowConcurrency = 100
	slowWithin      = 3500 * time.Millisecond // 3 s are the handlers', were each of them always busy
	slowPart        = 10                      // of the events that Watermill's loop gets: all of them take five minutes

	subjectTenth = subjectWatermill + ", a tenth"
)

// slowPaths measure how long one member takes for the events of one partition whose handler takes its time, from
// joining to the last of them: the latency of the row. That each key's events come in order, once and never two at a
// time is checked, and fails the row; keys come by turns, so that few events wait for another of theirs. Watermill's loop gets a tenth of the events.
func slowPaths() []path {
	row := func(name string, open slowOpener, ordering durable.Ordering) path {
		return path{name: "slow-" + name, noRaw: true, once: true, goal: goal{within: slowWithin}, subjects: []subject{
			{subjectOurs, slowOurs(open, ordering)}, {subjectTenth, slowPeer(open)},
		}}
	}
	ordered := row("redis-ordered", slowRedis, durable.PerKey)
	ordered.subjects = ordered.subjects[:1] // Watermill's would be that of slow-redis
	return []path{
		row("memory", slowMemory, durable.PerKey), row("redis", slowRedis, durable.None), ordered, row("kafka", slowKafka, durable.PerKey),
	}
}

// slowPlace is a backend, and Watermill's own way to subscribe to it.
type slowPlace struct {
	durable.Backend
	// peer has msgs come to a new subscriber of Watermill's adapter. acked is nil when all are acknowledged.
	peer func(ctx context.Context, topic string, msgs []*message.Message) (sub message.Subscriber, acked func() error, err error)
}

type slowOpener func(ctx context.Context, l *lab) (slowPlace, error)

// create makes a topic of one partition that ends with the path.
func (p slowPlace) create(ctx context.Context, l *lab) (string, error) {
	admin, topic := p.Backend.(durable.Administrator), l.name("slow")
	err := admin.CreateTopic(ctx, durable.TopicSpec{Name: topic, Partitions: 1})
	if err == nil {
		l.after(func() error { return admin.DeleteTopic(context.Background(), topic) })
	}
	return topic, err
}

// fill stores msgs.
func (p slowPlace) fill(ctx context.Context, topic string, msgs []*message.Message) error {
	const batch = 100
	for at := 0; at < len(msgs); at += batch {
		if _, err := p.Append(ctx, topic, msgs[at:at+batch]...); err != nil {
			return err
		}
	}
	return nil
}

// slowOurs has durable.Process handle all events.
func slowOurs(open slowOpener, ordering durable.Ordering) func(context.Context, *lab) (turn, error) {
	return func(ctx context.Context, l *lab) (turn, error) {
		place, err := open(ctx, l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ time.Duration) (sample, error) {
			topic, err := place.create(ctx, l)
			if err == nil {
				err = place.fill(ctx, topic, slowMessages(slowEvents))
			}
			if err != nil {
				return sample{}, err
			}
			return slowProcess(ctx, place.Backend, durable.Group{Name: topic, Topics: durable.Topics(topic), Ordering: ordering})
		}, nil
	}
}

func slowProcess(ctx context.Context, b durable.Backend, g durable.Group) (s sample, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	keys, ended := newKeyOrder(slowEvents), make(chan error, 1)
	s, err = timed(func() (int64, error) {
		go func() {
			ended <- durable.Process(ctx, b, g, keys.handle, durable.ProcessOptions{Concurrency: slowConcurrency})
		}()
		select {
		case <-keys.full:
			return slowEvents, nil
		case err := <-ended:
			return 0, fmt.Errorf("processing ended early: %w", errors.Join(err, ctx.Err()))
		}
	})
	if err != nil {
		return s, err
	}
	s.latencies = latencies{s.elapsed}
	acked := until(ctx, 10*time.Second, func() error { return lagging(ctx, b, g.Name, g.Topics[0].Topic) })
	stop()
	return s, errors.Join(acked, <-ended, keys.err())
}

// slowPeer has Watermill's loop handle a tenth of the events.
func slowPeer(open slowOpener) func(context.Context, *lab) (turn, error) {
	return func(ctx context.Context, l *lab) (turn, error) {
		place, err := open(ctx, l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ time.Duration) (s sample, err error) {
			topic, err := place.create(ctx, l)
			if err != nil {
				return s, err
			}
			sub, acked, err := place.peer(ctx, topic, slowMessages(slowEvents/slowPart))
			if err != nil {
				return s, err
			}
			defer func() { err = errors.Join(err, sub.Close()) }()
			keys := newKeyOrder(slowEvents / slowPart)
			s, err = timed(func() (int64, error) { return keys.loop(ctx, sub, topic) })
			s.latencies = latencies{s.elapsed}
			return s, errors.Join(err, keys.err(), until(ctx, 10*time.Second, acked))
		}, nil
	}
}

// slowMessages are n messages of slowKeys keys, which come by turns.
func slowMessages(n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(fmt.Sprint("e", i), nil)
		msgs[i].Metadata[durable.MetaPartitionKey] = fmt.Sprintf("source-%04d", i%slowKeys)
		msgs[i].Metadata[metaNumber] = fmt.Sprint(i / slowKeys)
	}
	return msgs
}

// metaNumber counts the events of a key.
const metaNumber = "number"

// keyOrder checks the events of each key.
type keyOrder struct {
	full chan struct{} // closed when all were handled

	mu    sync.Mutex
	left  int
	next  map[string]int  // number by key
	busy  map[string]bool // keys
	wrong []error         // at most a few
}

func newKeyOrder(n int) *keyOrder {
	return &keyOrder{full: make(chan struct{}), left: n, next: map[string]int{}, busy: map[string]bool{}}
}

// handle is the slow handler.
func (k *keyOrder) handle(msg *message.Message) error {
	k.begin(msg)
	err := pauseFor(msg.Context(), slowHandling)
	k.end(msg)
	return err
}

func (k *keyOrder) begin(msg *message.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := durable.Key(msg)
	number, want := msg.Metadata[metaNumber], fmt.Sprint(k.next[key])
	if number != want || k.busy[key] {
		const most = 10
		if len(k.wrong) < most {
			k.wrong = append(k.wrong, fmt.Errorf("event %s of key %q came where %s was due (another in work: %t)", number, key, want, k.busy[key]))
		}
	}
	k.busy[key] = true
}

func (k *keyOrder) end(msg *message.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := durable.Key(msg)
	k.busy[key] = false
	k.next[key]++
	if k.left--; k.left == 0 {
		close(k.full)
	}
}

// err is what was wrong.
func (k *keyOrder) err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Join(k.wrong...)
}

// loop handles what comes from sub until all of it was handled.
func (k *keyOrder) loop(ctx context.Context, sub message.Subscriber, topic string) (n int64, err error) {
	messages, err := sub.Subscribe(ctx, topic)
	if err != nil {
		return 0, err
	}
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return n, errors.New("the subscription ended early")
			}
			if err := k.handle(m); err != nil {
				return n, err
			}
			m.Ack()
			n++
		case <-ctx.Done():
			return n, ctx.Err()
		}
		select {
		case <-k.full:
			return n, nil
		default:
		}
	}
}
