package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func orderings() map[string]durable.Ordering {
	return map[string]durable.Ordering{"ordered": durable.PerKey, "competing": durable.None}
}

func TestSeveralStreamsAreReadByOneMember(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
			topics := []string{testenv.Name(t, "a"), testenv.Name(t, "b"), testenv.Name(t, "c")}
			for i, topic := range topics {
				store(t, b, topic, 10*i, 10*i+2)
			}
			c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topics...), Ordering: ordering})
			got := map[string][]string{}
			for _, d := range fetch(t, c, 6) {
				got[d.Topic] = append(got[d.Topic], d.Message.UUID)
			}
			for i, topic := range topics {
				if want := []string{event(10 * i).UUID, event(10*i + 1).UUID}; !slices.Equal(got[topic], want) {
					t.Errorf("%s: got %v, want %v", topic, got[topic], want)
				}
			}
		})
	}
}

func TestATopicAddedLaterStartsWhereTheGroupStarts(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
			main, added := testenv.Name(t, "main"), testenv.Name(t, "added")
			raw := client(t, testenv.Redis(t))
			for i := range 4 { // one a second, long ago
				must(t, raw.Do(t.Context(), "XADD", added, fmt.Sprintf("%d-0", 1000*(i+1)), "n", i).Err())
			}
			for i, c := range []struct {
				group, topic durable.Start
				want         durable.Position // "": what is stored afterwards
			}{
				{group: durable.Oldest(), want: "1000-0"},
				{group: durable.At(time.UnixMilli(2500)), want: "3000-0"},
				{group: durable.Newest()},
				{group: durable.Newest(), topic: durable.Oldest(), want: "1000-0"},
				{group: durable.Oldest(), topic: durable.After(durable.Cursor{0: "3000-0"}), want: "4000-0"},
			} {
				g := durable.Group{Name: fmt.Sprint("g", i), Topics: durable.Topics(main), Start: c.group, Ordering: ordering}
				member := join(t, b, g)
				must(t, member.SetTopics(t.Context(), durable.TopicStart{Topic: main}, durable.TopicStart{Topic: added, Start: c.topic}))
				if c.want == "" {
					ps, err := b.Append(t.Context(), added, event(1))
					must(t, err)
					c.want = ps[0]
				}
				if d := fetch(t, member, 1)[0]; d.Topic != added || d.Position != c.want {
					t.Errorf("case %d: got %s of %q, want %s of the added topic", i, d.Position, d.Topic, c.want)
				}
			}
		})
	}
}

// follow reads topic by itself and sends the ids of what it sees until ctx ends; the channel is closed then.
func follow(ctx context.Context, b *Backend, topic string, from durable.Start) <-chan string {
	ids := make(chan string, 100) // more than any test stores
	go func() {
		defer close(ids)
		for r, err := range b.Replay(ctx, topic, durable.Range{From: from, Follow: true}) {
			if err != nil {
				return
			}
			ids <- r.Message.UUID
		}
	}()
	return ids
}

func TestReadersComeAndGoAndEachSeesEverything(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	store(t, b, topic, 0, 2)
	see := func(reader string, ids <-chan string, want ...int) {
		t.Helper()
		for _, i := range want {
			select {
			case id := <-ids:
				if id != event(i).UUID {
					t.Errorf("%s: got %s, want %s", reader, id, event(i).UUID)
				}
			case <-soon(t).Done():
				t.Fatalf("%s does not see %s", reader, event(i).UUID)
			}
		}
	}
	ctx, endFirst := context.WithCancel(t.Context())
	first := follow(ctx, b, topic, durable.Oldest())
	second := follow(t.Context(), b, topic, durable.Oldest())
	see("first", first, 0, 1)
	see("second", second, 0, 1)
	store(t, b, topic, 2, 3)
	see("first", first, 2)
	endFirst()
	for range first { // until it is closed
	}
	third := follow(t.Context(), b, topic, durable.Oldest())
	see("third", third, 0, 1, 2)
	store(t, b, topic, 3, 4)
	see("second", second, 2, 3)
	see("third", third, 3)
	if ds := fetch(t, join(t, b, competing(topic, "m")), 4); ds[3].Message.UUID != event(3).UUID {
		t.Errorf("a group beside them: got %s, want all four", ds[3].Message.UUID)
	}
	must(t, b.Close(t.Context())) // ends the others
}

func TestAnEntryKnowsWhenItWasStored(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	clock, err := b.control.Time(t.Context()).Result()
	must(t, err)
	store(t, b, topic, 0, 1)
	d := fetch(t, join(t, b, competing(topic, "m")), 1)[0]
	if d.StoredAt.Before(clock.Truncate(time.Millisecond)) || d.StoredAt.After(clock.Add(time.Minute)) {
		t.Errorf("got %s, want right after %s by the server's clock", d.StoredAt, clock)
	}
	for r, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if err != nil || !r.StoredAt.Equal(d.StoredAt) {
			t.Errorf("a reader: got %s, %v, want %s", r.StoredAt, err, d.StoredAt)
		}
	}
}

func TestADestroyedTopicTakesItsGroupsWithItAndCanBeMadeAgain(t *testing.T) {
	for _, partitions := range []int{1, 3} {
		b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
		must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: partitions}))
		store(t, b, topic, 0, 5)
		c := join(t, b, competing(topic, "m"))
		must(t, c.Ack(t.Context(), fetch(t, c, 5)...))
		must(t, c.Close(t.Context()))
		must(t, b.DeleteTopic(t.Context(), topic))
		if _, err := b.DescribeTopic(t.Context(), topic); !errors.Is(err, durable.ErrTopicNotFound) {
			t.Errorf("got %v, want ErrTopicNotFound", err)
		}
		store(t, b, topic, 5, 6)
		if names, err := b.Groups(t.Context(), topic); err != nil || len(names) != 0 {
			t.Errorf("made again: got groups %v, %v, want none", names, err)
		}
	}
}

func TestWhatIsClosedSaysSo(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	store(t, b, topic, 0, 1)
	c := join(t, b, competing(topic, "m"))
	must(t, errors.Join(c.Close(t.Context()), c.Close(t.Context())))
	if _, err := c.Fetch(t.Context(), 1); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("consumer: got %v, want ErrClosed", err)
	}
	must(t, errors.Join(b.Close(t.Context()), b.Close(t.Context())))
	_, appended := b.Append(t.Context(), topic, event(1))
	_, joined := b.Consume(t.Context(), competing(topic, "m"))
	_, read := replayed(t, b, topic, durable.Range{})
	for what, err := range map[string]error{"append": appended, "consume": joined, "replay": read} {
		if !errors.Is(err, durable.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
}

func TestTheOwnerOfAPartitionIsNamed(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	store(t, b, topic, 0, 3)
	c := join(t, b, durable.Group{Name: "g", Member: "host:1", Topics: durable.Topics(topic)})
	ds := fetch(t, c, 3)
	must(t, c.Ack(t.Context(), ds[:2]...))
	testenv.Await(t, 30*time.Second, func() bool {
		lag, err := b.Lag(t.Context(), "g", topic)
		return err == nil && lag[0].Position == ds[1].Position && lag[0].Lag == 1 && len(lag[0].Members) == 1 && lag[0].Members[0].Member == "host:1"
	}, "the position and the owner are told")
}
