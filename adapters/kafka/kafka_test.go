package kafka

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const soon = 30 * time.Second

// sideBySide is how many of the tests that wait for brokers run at once, unless -parallel says otherwise: the number of
// processors is no measure for them.
const sideBySide = "4"

func TestMain(m *testing.M) {
	testenv.RunHelper(map[string]func(){"member": memberProcess})
	if err := flag.Set("test.parallel", sideBySide); err != nil {
		panic(err)
	}
	leaktest.Main(m, testenv.Leaks()...)
}

// opened is a backend on the shared Kafka that closes with the test.
func opened(t testing.TB) *Backend {
	t.Helper()
	return openOn(t, Config{Brokers: testenv.Kafka(t)})
}

// patient is cfg where a machine that stands still for a while costs no member its claims, unless cfg says otherwise.
// Members notice each other soon all the same.
func patient(cfg Config) Config {
	def(&cfg.OpenTimeout, soon)
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout, cfg.beat = soon, 300*time.Millisecond
	}
	return cfg
}

func openOn(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b, err := Open(t.Context(), patient(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

func newTopic(t testing.TB, b *Backend, partitions int) string {
	t.Helper()
	name := testenv.Name(t, "t")
	var err error
	testenv.Await(t, 2*soon, func() bool { // a broker that was frozen or has just started refuses at first
		err = b.CreateTopic(t.Context(), durable.TopicSpec{Name: name, Partitions: partitions})
		return !errors.Is(err, durable.ErrUnavailable)
	}, "a topic can be made")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func events(n int, key func(int) string) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		m := message.NewMessage(durable.NewID(), []byte(fmt.Sprint("payload-", i)))
		m.Metadata.Set(durable.MetaPartitionKey, key(i))
		m.Metadata.Set("n", fmt.Sprint(i))
		msgs[i] = m
	}
	return msgs
}

// bare is a position without the incarnation that it ends with.
func bare(p durable.Position) durable.Position {
	place, _, _ := strings.Cut(string(p), "@")
	return durable.Position(place)
}

func oneKey(int) string { return "k" }

func mustAppend(t testing.TB, b *Backend, topic string, msgs ...*message.Message) []durable.Position {
	t.Helper()
	ps, err := b.Append(t.Context(), topic, msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func replayed(t testing.TB, b *Backend, topic string, r durable.Range) []durable.Record {
	t.Helper()
	var out []durable.Record
	for rec, err := range b.Replay(t.Context(), topic, r) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

func join(t testing.TB, b *Backend, g durable.Group) durable.Consumer {
	t.Helper()
	c, err := b.Consume(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fetch(t testing.TB, c durable.Consumer, n int) []durable.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var out []durable.Delivery
	for len(out) < n {
		ds, err := c.Fetch(ctx, n-len(out))
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(out), n, err)
		}
		out = append(out, ds...)
	}
	return out
}

// awaitAppend appends one message again and again until that works, for a broker that was away.
func awaitAppend(t testing.TB, b *Backend, topic string) {
	t.Helper()
	testenv.Await(t, 2*soon, func() bool {
		_, err := b.Append(t.Context(), topic, events(1, oneKey)...)
		return err == nil
	}, "appends work")
}

// grow gives topic n partitions, and returns when the brokers tell of them: a backend that opens now knows them all.
func grow(t testing.TB, b *Backend, topic string, n int) {
	t.Helper()
	if err := b.admin.CreatePartitions(topic, int32(n), nil, false); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool {
		got, err := b.visible(t.Context(), topic, "")
		return err == nil && got == n
	}, "the partitions are there")
}

func closeNow(t testing.TB, c interface{ Close(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestAppendedMessagesAreReplayedAndConsumedInOrder(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 3)
	msgs := events(500, func(i int) string { return fmt.Sprint("key-", i%7) })
	ps := mustAppend(t, b, topic, msgs...)
	seen := map[string]int{}
	for _, r := range replayed(t, b, topic, durable.Range{}) {
		seen[string(r.Position)]++
	}
	for _, p := range ps {
		if seen[string(p)] != 1 {
			t.Fatalf("position %q was replayed %d times", p, seen[string(p)])
		}
	}
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	last := map[string]string{}
	for _, d := range fetch(t, c, 500) {
		if n := d.Message.Metadata["n"]; len(n) < len(last[d.Key]) || len(n) == len(last[d.Key]) && n <= last[d.Key] {
			t.Fatalf("key %s: %s after %s", d.Key, n, last[d.Key])
		}
		last[d.Key] = d.Message.Metadata["n"]
	}
}

func TestARestartWithNewestLosesNothing(t *testing.T) {
	b := opened(t)
	topic, name := newTopic(t, b, 2), testenv.Name(t, "g")
	mustAppend(t, b, topic, events(3, oneKey)...)
	g := durable.Group{Name: name, Topics: durable.Topics(topic), Start: durable.Newest()}
	closeNow(t, join(t, b, g)) // ends before it fetched anything
	msgs := events(7, oneKey)
	mustAppend(t, b, topic, msgs...)
	c := join(t, b, g)
	defer closeNow(t, c)
	if got := fetch(t, c, 7); got[0].Message.UUID != msgs[0].UUID {
		t.Errorf("got %s first, want %s", got[0].Message.UUID, msgs[0].UUID)
	}
}

func TestReleasedDeliveriesAreFetchedAgainAtOnce(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(10, oneKey)...)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	ds := fetch(t, c, 4)
	c.Release(ds[3], ds[2])
	again := fetch(t, c, 3)
	for i, want := range []string{"0:2", "0:3", "0:4"} {
		if string(bare(again[i].Position)) != want {
			t.Errorf("got %s, want %s", again[i].Position, want)
		}
	}
}

func TestUnfinishedDeliveriesGoToTheNextMember(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(10, oneKey)...)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	c := join(t, b, g)
	ds := fetch(t, c, 10)
	if err := c.Ack(t.Context(), ds[3]); err != nil {
		t.Fatal(err)
	}
	c.Release(ds[4:]...)
	closeNow(t, c)
	if err := c.Ack(t.Context(), ds[9]); err != nil {
		t.Errorf("a late ack: %v", err)
	}
	c = join(t, b, g)
	defer closeNow(t, c)
	if got := bare(fetch(t, c, 1)[0].Position); got != "0:4" {
		t.Errorf("got %s, want 0:4", got)
	}
}

func TestAppendAfterCloseIsErrClosed(t *testing.T) {
	b := opened(t)
	closeNow(t, b)
	if _, err := b.Append(t.Context(), "t", events(1, oneKey)...); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAMissingTopicIsErrTopicNotFound(t *testing.T) {
	t.Parallel()
	b := opened(t)
	name := testenv.Name(t, "none")
	if _, err := b.Append(t.Context(), name, events(1, oneKey)...); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("append: got %v", err)
	}
	if _, err := b.Consume(t.Context(), durable.Group{Name: name, Topics: durable.Topics(name)}); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("consume: got %v", err)
	}
	for _, err := range b.Replay(t.Context(), name, durable.Range{}) {
		if !errors.Is(err, durable.ErrTopicNotFound) {
			t.Errorf("replay: got %v", err)
		}
	}
}

func TestCloseInAReplayLoopEndsTheLoop(t *testing.T) {
	b, err := Open(t.Context(), patient(Config{Brokers: testenv.Kafka(t)}))
	if err != nil {
		t.Fatal(err)
	}
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(10, oneKey)...)
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	n, last := 0, error(nil)
	for _, last = range b.Replay(t.Context(), topic, durable.Range{Follow: true}) {
		if n++; n > 1 {
			continue
		}
		if last != nil {
			t.Fatal(last)
		}
		if err := b.Close(ctx); err != nil {
			t.Errorf("close: got %v", err)
		}
	}
	if n != 2 || !errors.Is(last, durable.ErrClosed) {
		t.Errorf("after %d rounds the loop ended with %v, want ErrClosed in the second", n, last)
	}
	b.wg.Wait()
}

func TestAHandlerThatAppendsToAPayloadWritesOverNoOther(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	msgs := events(100, oneKey)
	mustAppend(t, b, topic, msgs...)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	for i := range msgs { // one at a time: the rest is not decoded yet
		got := fetch(t, c, 1)[0].Message
		if !got.Equals(msgs[i]) {
			t.Fatalf("message %d: got %q, %v", i, got.Payload, got.Metadata)
		}
		_ = append(got.Payload, bytes.Repeat([]byte{0xff}, 64)...)
	}
}
