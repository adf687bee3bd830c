package kafka

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// count tells how many lines have text in them.
func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for line := range strings.Lines(j.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// remake deletes topic and makes it again, with n partitions.
func remake(t testing.TB, b *Backend, topic string, n int) {
	t.Helper()
	if err := b.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool {
		return b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: n}) == nil
	}, "the topic is made again")
}

// namesake is a topic of one partition, its incarnation, and two backends: one that is to be deceived and one to remake it.
func namesake(t *testing.T) (b, other *Backend, topic, is string) {
	t.Helper()
	b, other = opened(t), opened(t)
	topic = newTopic(t, b, 1)
	is, err := incarnation(b.client, topic)
	if err != nil {
		t.Fatal(err)
	}
	return b, other, topic, is
}

func TestATopicIsNotTakenForItsDeletedNamesake(t *testing.T) {
	t.Parallel()
	b, other, topic, before := namesake(t)
	told := make(chan string, 1)
	go func() {
		_, _ = b.visible(t.Context(), topic, before)
		now, _ := incarnation(b.client, topic)
		told <- now
	}()
	remake(t, other, topic, 1)
	if now := <-told; now == before || now == "" {
		t.Errorf("got %q, want another one than %q", now, before)
	}
}

// behind is a client of a broker that hears of the end of a topic later than others: its first looks change nothing.
type behind struct {
	sarama.Client
	looks int
}

func (c *behind) RefreshMetadata(topics ...string) error {
	if c.looks--; c.looks >= 0 {
		return nil
	}
	return c.Client.RefreshMetadata(topics...)
}

func TestATopicHasNotThePartitionsOfItsDeletedNamesake(t *testing.T) {
	t.Parallel()
	b, other, topic, before := namesake(t)
	remake(t, other, topic, 4)
	b.client = &behind{b.client, 3}
	if n, err := b.visible(t.Context(), topic, before); n != 4 || err != nil {
		t.Errorf("got %d partitions, %v, want the 4 of the topic that was made again", n, err)
	}
	if known, err := b.client.Partitions(topic); len(known) != 4 || err != nil {
		t.Errorf("then the client knows the partitions %v, %v, want 4", known, err)
	}
}

// unheard is a client of brokers that have not heard of the topics that they lead, for the first questions.
type unheard struct {
	sarama.Client
	questions int
}

func (c *unheard) GetOffset(topic string, partition int32, at int64) (int64, error) {
	if c.questions--; c.questions >= 0 {
		return 0, sarama.ErrUnknownTopicOrPartition
	}
	return c.Client.GetOffset(topic, partition, at)
}

func TestATopicIsMadeWhenItsLeaderHasHeardOfIt(t *testing.T) {
	t.Parallel()
	b := opened(t)
	c := &unheard{b.client, 3}
	b.client = c
	newTopic(t, b, 1)
	if c.questions >= 0 {
		t.Errorf("%d questions are left, want none", c.questions)
	}
}

func TestADeletedTopicEndsNeitherTheMemberNorItsOtherTopics(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	other, gone := newTopic(t, b, 1), newTopic(t, b, 1)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(other, gone)})
	defer closeNow(t, c)
	mustAppend(t, b, gone, events(5, oneKey)...)
	if err := c.Ack(t.Context(), fetch(t, c, 5)...); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteTopic(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Fetch(ctx, 1)
		return errors.Is(err, durable.ErrTopicNotFound)
	}, "Fetch tells that the topic is gone")
	at := mustAppend(t, b, other, events(1, oneKey)...)
	got := awaitFetch(t, c) // it may tell so again
	if got.Topic != other || got.Position != at[0] {
		t.Errorf("got %s of %s, want the other topic's", got.Position, got.Topic)
	}
	if err := b.CreateTopic(t.Context(), durable.TopicSpec{Name: gone, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	fresh := openOn(t, b.cfg)
	mustAppend(t, fresh, gone, events(9, oneKey)...)
	if got := awaitFetch(t, c); got.Topic != gone || bare(got.Position) != "0:0" {
		t.Errorf("got %s of %s, want the first record of the topic that was made again", got.Position, got.Topic)
	}
}

// awaitFetch is the next delivery, whatever transient errors come before it.
func awaitFetch(t testing.TB, c durable.Consumer) (d durable.Delivery) {
	t.Helper()
	testenv.Await(t, soon, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ds, err := c.Fetch(ctx, 1)
		if err == nil {
			d = ds[0]
		}
		return err == nil
	}, "something is fetched")
	return d
}

func TestAMemberOfATopicThatIsMadeAgainGoesOnAtItsOldestRecord(t *testing.T) {
	t.Parallel()
	var log journal
	cfg := quickly(t)
	cfg.PartitionCheck, cfg.Logger = 100*time.Millisecond, log.logger()
	b := openOn(t, cfg)
	topic := newTopic(t, b, 2)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	c := join(t, b, g)
	mustAppend(t, b, topic, events(50, keyed(20))...)
	old := fetch(t, c, 50)
	if err := c.Ack(t.Context(), old[:40]...); err != nil { // the rest is at work
		t.Fatal(err)
	}
	remake(t, b, topic, 2)
	mustAppend(t, b, topic, events(200, keyed(20))...) // more than there were
	seen := map[durable.Position]bool{}
	for len(seen) < 200 {
		d := awaitFetch(t, c)
		if seen[d.Position] || incarnationIn(d.Position) == incarnationIn(old[0].Position) {
			t.Fatalf("got %s, after %d of the topic that was made again", d.Position, len(seen))
		}
		seen[d.Position] = true
		if err := c.Ack(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for claim := range claimsOf(old) {
		if !claim.Lost() {
			t.Errorf("the claim of partition %d of the deleted topic goes on", claim.Partition())
		}
	}
	if err := c.Ack(t.Context(), old...); err != nil {
		t.Errorf("an ack for the deleted topic: %v", err)
	}
	closeNow(t, c)
	if n := log.count("made again"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.text.String())
	}
	at := mustAppend(t, b, topic, events(1, oneKey)...)
	c = join(t, b, g)
	defer closeNow(t, c)
	if d := awaitFetch(t, c); bare(d.Position) != bare(at[0]) { // the producer may not know yet that the topic is another one
		t.Errorf("the next member begins at %s, want %s: all before was acknowledged", d.Position, at[0])
	}
}

func TestAPositionOfAGroupInADeletedTopicMeansNothingInItsSuccessor(t *testing.T) {
	t.Parallel()
	var log journal
	cfg := quickly(t)
	cfg.Logger = log.logger()
	b := openOn(t, cfg)
	topic := newTopic(t, b, 1)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	c := join(t, b, g)
	mustAppend(t, b, topic, events(9, oneKey)...)
	if err := c.Ack(t.Context(), fetch(t, c, 9)...); err != nil {
		t.Fatal(err)
	}
	closeNow(t, c)
	stored, err := b.admin.ListConsumerGroupOffsets(g.Name, map[string][]int32{topic: {0}})
	if err != nil {
		t.Fatal(err)
	}
	block := stored.GetBlock(topic, 0)
	remake(t, b, topic, 1)
	mustAppend(t, b, topic, events(20, oneKey)...)
	// Kafka removes the offsets of a deleted topic, a little later; a member that had not noticed may have written its own
	// after that.
	testenv.Await(t, soon, func() bool {
		left, err := b.admin.ListConsumerGroupOffsets(g.Name, map[string][]int32{topic: {0}})
		return err == nil && code(left.Err) == nil && left.GetBlock(topic, 0).Offset < 0
	}, "the offset is removed")
	late := map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: block.Offset, Metadata: block.Metadata, LeaderEpoch: -1}}}
	testenv.Await(t, soon, func() bool {
		answer, err := b.admin.AlterConsumerGroupOffsets(g.Name, late, nil)
		return err == nil && code(answer.Errors[topic][0]) == nil
	}, "the old offset is written")
	c = join(t, b, g)
	defer closeNow(t, c)
	if d := awaitFetch(t, c); bare(d.Position) != "0:0" || d.Attempt != 1 {
		t.Errorf("got %s at attempt %d, want the first record of the topic that was made again", d.Position, d.Attempt)
	}
	if n := log.count("made again"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
}

func TestAReplayKnowsPositionsOfADeletedTopic(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	at := mustAppend(t, b, topic, events(9, oneKey)...)
	for _, from := range []durable.Position{at[3], bare(at[3])} { // as it was written down, and as other programs write it
		if rs := replayed(t, b, topic, durable.Range{From: durable.After(durable.Cursor{0: from})}); rs[0].Position != at[4] {
			t.Errorf("after %s came %s, want %s", from, rs[0].Position, at[4])
		}
	}
	remake(t, b, topic, 1)
	mustAppend(t, b, topic, events(20, oneKey)...)
	for name, r := range map[string]durable.Range{
		"From": {From: durable.After(durable.Cursor{0: at[3]})},
		"To":   {To: durable.Cursor{0: at[3]}},
	} {
		for rec, err := range b.Replay(t.Context(), topic, r) {
			if !errors.Is(err, durable.ErrPositionExpired) {
				t.Errorf("%s: got %s, %v, want ErrPositionExpired", name, rec.Position, err)
			}
			break
		}
	}
	if err := b.ResetGroup(t.Context(), testenv.Name(t, "g"), topic, durable.After(durable.Cursor{0: at[3]})); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("reset of a group: got %v, want ErrPositionExpired", err)
	}
	if rs := replayed(t, b, topic, durable.Range{From: durable.After(durable.Cursor{0: bare(at[3])})}); len(rs) != 16 {
		t.Errorf("after a bare position: got %d records, want 16", len(rs))
	}
}

func TestAFollowingReplayGoesOnInATopicThatIsMadeAgainAndInNewPartitions(t *testing.T) {
	t.Parallel()
	var log journal
	b := openOn(t, Config{Brokers: testenv.Kafka(t), PartitionCheck: 100 * time.Millisecond, Logger: log.logger()})
	topic := newTopic(t, b, 1)
	before := mustAppend(t, b, topic, events(5, oneKey)...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	got := make(chan durable.Position)
	ended := make(chan error, 1)
	go func() {
		for r, err := range b.Replay(ctx, topic, durable.Range{Follow: true}) {
			if err != nil {
				ended <- err
				return
			}
			got <- r.Position
		}
		ended <- nil
	}()
	read := func(n int) (last durable.Position) {
		for range n {
			select {
			case last = <-got:
			case err := <-ended:
				t.Fatalf("the replay ended after %s: %v", last, err)
			}
		}
		return last
	}
	if last := read(5); last != before[4] {
		t.Errorf("got %s last, want %s", last, before[4])
	}
	remake(t, b, topic, 1)
	after := mustAppend(t, b, topic, events(30, oneKey)...)
	if last := read(30); bare(last) != bare(after[29]) || incarnationIn(last) == incarnationIn(before[4]) {
		t.Errorf("got %s last, want %s", last, after[29])
	}
	if n := log.count("made again"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.text.String())
	}
	grow(t, b, topic, 3)
	other := openOn(t, Config{Brokers: testenv.Kafka(t)})
	seen := map[string]bool{}
	testenv.Await(t, soon, func() bool {
		for _, m := range events(10, keyed(10)) {
			if _, err := other.Append(t.Context(), topic, m); err == nil {
				partition, _, _ := strings.Cut(string(read(1)), ":")
				seen[partition] = true
			}
		}
		return len(seen) == 3
	}, "records of all partitions come")
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
