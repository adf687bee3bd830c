package readertests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// fetch joins g, acknowledges n deliveries and leaves.
func (s store) fetch(t *testing.T, g durable.Group, n int) (ids []string) {
	t.Helper()
	c, err := s.Consume(soon(t), g)
	must(t, err)
	ctx := soon(t)
	for len(ids) < n {
		ds, err := c.Fetch(ctx, n-len(ids))
		if err != nil && ctx.Err() == nil {
			t.Logf("Fetch: %v (transient)", err)
			continue
		}
		must(t, err)
		for _, d := range ds {
			ids = append(ids, d.Message.UUID)
		}
		must(t, c.Ack(soon(t), ds...))
	}
	must(t, c.Close(soon(t)))
	return ids
}

// replay is what is stored in a topic of the range.
func (s store) replay(ctx context.Context, topic string, r durable.Range) (ids []string, err error) {
	for rec, err := range s.Replay(ctx, topic, r) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, rec.Message.UUID)
	}
	return ids, nil
}

// stored puts three events, a moment, and two more; at is within the moment.
func (s store) stored(t *testing.T, topic string) (ps []durable.Position, at time.Time) {
	t.Helper()
	ps = s.put(t, topic, "x1", "x2", "x3")
	at = s.moment(t, topic)
	return append(ps, s.put(t, topic, "x4", "x5")...), at
}

// moment is a time after what is stored in topic, by its clock, and before what is stored next.
func (s store) moment(t *testing.T, topic string) time.Time {
	t.Helper()
	var last time.Time
	for rec, err := range s.Replay(soon(t), topic, durable.Range{}) {
		must(t, err)
		if rec.StoredAt.After(last) {
			last = rec.StoredAt
		}
	}
	at := last.Add(2 * time.Millisecond)
	timer := time.NewTimer(time.Until(at) + 2*time.Millisecond)
	defer timer.Stop()
	<-timer.C
	return at
}

func TestEveryStartOfGroupsAndReaders(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topic := s.topic(t, 1)
		ps, at := s.stored(t, topic)
		starts := []struct {
			name  string
			start durable.Start
			want  []string // before x6
		}{
			{"default", durable.Start{}, []string{"x1", "x2", "x3", "x4", "x5"}},
			{"oldest", durable.Oldest(), []string{"x1", "x2", "x3", "x4", "x5"}},
			{"newest", durable.Newest(), nil},
			{"after", durable.After(durable.Cursor{0: ps[1]}), []string{"x3", "x4", "x5"}},
			{"after the last", durable.After(durable.Cursor{0: ps[4]}), nil},
			{"at", durable.At(at), []string{"x4", "x5"}},
			{"at a time before all", durable.At(time.Now().Add(-time.Hour)), []string{"x1", "x2", "x3", "x4", "x5"}},
		}
		subs, members := make([]*durable.Subscription, len(starts)), make([]durable.Consumer, len(starts))
		for i, c := range starts {
			got, err := s.replay(soon(t), topic, durable.Range{From: c.start})
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("bounded replay from %s: got %v, %v, want %v", c.name, got, err, c.want)
			}
			subs[i] = subscribe(t, s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic), Start: c.start}), durable.SubscribeOptions{})
			members[i], err = s.Consume(soon(t), durable.Group{Name: fmt.Sprint("g", i), Topics: durable.Topics(topic), Start: c.start})
			must(t, err)
		}
		s.put(t, topic, "x6")
		for i, c := range starts {
			want := append(slices.Clone(c.want), "x6")
			sees(t, subs[i], want...)
			must(t, members[i].Close(soon(t))) // a new group has its start, whoever goes on with it
			g := durable.Group{Name: fmt.Sprint("g", i), Topics: durable.Topics(topic)}
			same(t, s.fetch(t, g, len(want)), want)
		}
	})
}

func TestATopicAddedToAReaderStartsWhereTheReaderDoes(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		for _, start := range []durable.StartKind{durable.StartOldest, durable.StartNewest, durable.StartAt, durable.StartDefault} {
			main, added, told := s.topic(t, 1), s.topic(t, 1), s.topic(t, 1)
			s.put(t, main, "m1")
			at := s.moment(t, main)
			ps := s.put(t, told, "t1", "t2")
			s.put(t, added, "x1")
			o := durable.ReaderOptions{Topics: durable.Topics(main)}
			var want []string
			switch start {
			case durable.StartNewest:
				o.Start, want = durable.Newest(), []string{}
			case durable.StartAt:
				o.Start, want = durable.At(at), []string{"x1"}
			case durable.StartOldest:
				o.Start, want = durable.Oldest(), []string{"m1", "x1"}
			default:
				want = []string{"m1", "x1"}
			}
			r := s.reader(t, o)
			sub := subscribe(t, r, durable.SubscribeOptions{})
			must(t, r.AddTopics(soon(t), durable.TopicStart{Topic: added},
				durable.TopicStart{Topic: told, Start: durable.After(durable.Cursor{0: ps[0]})}))
			s.put(t, added, "x2")
			sees(t, sub, append(want, "x2", "t2")...)
		}
	})
}

func TestAStartThatIsNoLongerStoredFailsOrTakesTheOldest(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topic, other := s.topic(t, 1), s.topic(t, 1)
		ps := s.put(t, topic, "x1", "x2", "x3", "x4", "x5")
		s.put(t, other, "o1")
		s.trim(t, topic, 2)
		gone := durable.After(durable.Cursor{0: ps[0]})

		if _, err := s.replay(soon(t), topic, durable.Range{From: gone}); !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("bounded: got %v, want ErrPositionExpired", err)
		}
		if _, err := s.replay(soon(t), topic, durable.Range{From: gone, Follow: true}); !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("following: got %v, want ErrPositionExpired", err)
		}
		if _, err := durable.NewReader(soon(t), s.Backend, durable.ReaderOptions{Topics: durable.Topics(topic), Start: gone}); !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("a reader: got %v, want ErrPositionExpired", err)
		}
		r := s.reader(t, durable.ReaderOptions{})
		if err := r.AddTopics(soon(t), durable.TopicStart{Topic: other}, durable.TopicStart{Topic: topic, Start: gone}); !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("a topic that is added: got %v, want ErrPositionExpired", err)
		}
		if len(r.Topics()) != 0 {
			t.Errorf("got %q added, want none", r.Topics())
		}
		r = s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic), Start: gone, OnExpired: durable.ExpiredOldest})
		sees(t, subscribe(t, r, durable.SubscribeOptions{}), "x4", "x5")
		if r.Jumps() != 1 {
			t.Errorf("got %d jumps, want 1", r.Jumps())
		}

		g := durable.Group{Name: "fails", Topics: durable.Topics(topic), Start: gone}
		c, err := s.Consume(soon(t), g)
		if err == nil { // then it ends with its first fetch
			_, err = c.Fetch(soon(t), 1)
			must(t, c.Close(soon(t)))
		}
		if !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("a group: got %v, want ErrPositionExpired", err)
		}
		g.Name, g.OnExpired = "oldest", durable.ExpiredOldest
		same(t, s.fetch(t, g, 2), []string{"x4", "x5"})
	})
}

func TestOnlyThePartitionsWhosePositionIsGoneStartAtTheirOldest(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topic := s.topic(t, 2)
		last, first := durable.Cursor{}, durable.Cursor{}
		for i := range 9 {
			s.put(t, topic, fmt.Sprint("x", i))
		}
		for rec, err := range s.Replay(soon(t), topic, durable.Range{}) {
			must(t, err)
			if last[rec.Partition] = rec.Position; first[rec.Partition] == "" {
				first[rec.Partition] = rec.Position
			}
		}
		s.trim(t, topic, 1)
		r := s.reader(t, durable.ReaderOptions{
			Topics: durable.Topics(topic), OnExpired: durable.ExpiredOldest, Start: durable.After(durable.Cursor{0: first[0], 1: last[1]}),
		})
		sub := subscribe(t, r, durable.SubscribeOptions{})
		rec, err := sub.Next(soon(t))
		must(t, err)
		if rec.Partition != 0 || rec.Position != last[0] {
			t.Errorf("got %s of partition %d, want the oldest of partition 0, %s", rec.Position, rec.Partition, last[0])
		}
		s.put(t, topic, "y1")
		sees(t, sub, "y1")
	})
}
