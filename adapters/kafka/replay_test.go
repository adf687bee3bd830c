package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// replayPastAKill follows past a broker that was away.
func replayPastAKill(t *testing.T, k *testenv.KafkaCluster) {
	b := openOn(t, Config{Brokers: k.Brokers()})
	topic := newTopic(t, b, 2)
	first := events(1, oneKey)
	mustAppend(t, b, topic, first...)
	last, sent := first[0].UUID, map[string]bool{first[0].UUID: true}
	ctx, cancel := context.WithTimeout(t.Context(), 4*soon)
	defer cancel()
	rounds := 0
	for r, err := range b.Replay(ctx, topic, durable.Range{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if !sent[r.Message.UUID] {
			t.Fatalf("got %s again, or what was never appended", r.Position)
		}
		delete(sent, r.Message.UUID)
		if r.Message.UUID != last {
			continue // its append was not acknowledged
		}
		if rounds++; rounds == 2 {
			return
		}
		k.Node(1).Kill()
		k.Node(1).Restart()
		testenv.Await(t, 2*soon, func() bool {
			msgs := events(1, oneKey)
			last = msgs[0].UUID
			sent[last] = true
			_, err := b.Append(t.Context(), topic, msgs...)
			return err == nil
		}, "appends work again")
	}
	t.Errorf("it ended after %d rounds", rounds)
}

// metadataKey is the API key of requests for metadata.
const metadataKey = 3

// silence is a dialer whose connections keep requests for metadata back once it is on.
type silence struct {
	on, kept atomic.Bool
	over     chan struct{}
}

func (s *silence) Dial(network, addr string) (net.Conn, error) {
	c, err := net.Dial(network, addr)
	return silenced{c, s}, err
}

type silenced struct {
	net.Conn
	s *silence
}

func (c silenced) Write(b []byte) (int, error) {
	if c.s.on.Load() && len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == metadataKey {
		c.s.kept.Store(true)
		<-c.s.over
	}
	return c.Conn.Write(b)
}

func TestAFollowingReplayGoesOnWhileABrokerDoesNotTellWhatThereIs(t *testing.T) {
	t.Parallel()
	other := opened(t)
	topic := newTopic(t, other, 1)
	s := &silence{over: make(chan struct{})}
	b := openOn(t, Config{
		Brokers: other.cfg.Brokers, PartitionCheck: 20 * time.Millisecond, AppendTimeout: time.Hour,
		Sarama: func(c *sarama.Config) { c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, s },
	})
	defer close(s.over)
	at := mustAppend(t, other, topic, events(1, oneKey)...)[0]
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for r, err := range b.Replay(ctx, topic, durable.Range{Follow: true}) {
		if err != nil || r.Position != at {
			t.Fatalf("got %s, %v, want %s", r.Position, err, at)
		}
		if s.kept.Load() {
			return
		}
		s.on.Store(true)
		testenv.Await(t, soon, s.kept.Load, "it asks what there is")
		at = mustAppend(t, other, topic, events(1, oneKey)...)[0]
	}
}

func TestAReaderReadsPartitionsThatAreAdded(t *testing.T) {
	t.Parallel()
	b := openOn(t, Config{Brokers: testenv.Kafka(t), PartitionCheck: 50 * time.Millisecond})
	topic := newTopic(t, b, 1)
	r, err := durable.NewReader(t.Context(), b, durable.ReaderOptions{Topics: durable.Topics(topic), Start: durable.Newest()})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, r)
	sub, err := r.Subscribe(durable.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	grow(t, b, topic, 3)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	unread, other := map[durable.Position]bool{}, openOn(t, Config{Brokers: b.cfg.Brokers})
	testenv.Await(t, soon, func() bool {
		for _, m := range events(10, keyed(10)) {
			if ps, err := other.Append(ctx, topic, m); err == nil {
				unread[bare(ps[0])] = true
			}
		}
		return unread["1:0"] && unread["2:0"]
	}, "the new partitions are appended to")
	for len(unread) > 0 {
		rec, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("%v are not read: %v", unread, err)
		}
		delete(unread, bare(rec.Position))
	}
}

// wordless is a client that finds no leader for one partition, and whose refresh of that hangs, until over.
type wordless struct {
	sarama.Client
	partition int32
	asked     chan struct{} // 1: a refresh hangs
	over      chan struct{}
}

func (w *wordless) Leader(topic string, partition int32) (*sarama.Broker, error) {
	select {
	case <-w.over:
	default:
		if partition == w.partition {
			return nil, sarama.ErrLeaderNotAvailable
		}
	}
	return w.Client.Leader(topic, partition)
}

func (w *wordless) RefreshMetadata(topics ...string) error {
	select {
	case w.asked <- struct{}{}:
	default:
	}
	<-w.over
	return w.Client.RefreshMetadata(topics...)
}

func TestAFollowingReplayReadsOnWhileAPartitionHasNoLeaderAndNobodyTells(t *testing.T) {
	t.Parallel()
	log := new(journal)
	b := openOn(t, Config{Brokers: testenv.Kafka(t), Logger: log.logger()})
	topic := newTopic(t, b, 2)
	client, err := sarama.NewClient(b.cfg.Brokers, b.cfg.reader())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	s := &replay{b: b, topic: topic, follow: true, client: client, read: make(chan chunk), out: make(chan chunk)}
	if err := s.plan(durable.Range{Follow: true}); err != nil {
		t.Fatal(err)
	}
	w := &wordless{Client: client, partition: 1, asked: make(chan struct{}, 1), over: make(chan struct{})}
	s.client = w
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	next := func() durable.Record {
		select {
		case c := <-s.out:
			return c.recs[0]
		case <-ctx.Done():
			t.Fatal("nothing is read")
			return durable.Record{}
		}
	}
	keys := map[int]string{}
	for i := range 20 {
		keys[durable.Partition(fmt.Sprint(i), 2)] = fmt.Sprint(i)
	}
	mustAppend(t, b, topic, events(1, func(int) string { return keys[1] })...)
	<-w.asked
	for range 3 {
		mustAppend(t, b, topic, events(1, func(int) string { return keys[0] })...)
		if r := next(); r.Partition != 0 {
			t.Errorf("got %s, want the partition that has a leader", r.Position)
		}
	}
	close(w.over)
	if r := next(); r.Partition != 1 {
		t.Errorf("got %s, want the partition that has a leader again", r.Position)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, said := range []string{"partitions without a leader", "reads all of its partitions again"} {
		if n := log.count(said); n != 1 {
			t.Errorf("%q is said %d times, want once", said, n)
		}
	}
}
