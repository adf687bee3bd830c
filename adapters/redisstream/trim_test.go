package redisstream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// readBy reads n entries of topic as a group of its own and acknowledges all but the unacked of them.
func readBy(t *testing.T, b *Backend, topic, name string, n int, unacked ...int) {
	t.Helper()
	if err := b.control.XGroupCreate(t.Context(), topic, name, "0").Err(); err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return
	}
	got, err := b.control.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: name, Consumer: "c", Streams: []string{topic, ">"}, Count: int64(n)}).Result()
	if err != nil {
		t.Fatal(err)
	}
	skip := map[int]bool{}
	for _, i := range unacked {
		skip[i] = true
	}
	for i, m := range got[0].Messages {
		if skip[i] {
			continue
		}
		if err := b.control.XAck(t.Context(), topic, name, m.ID).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatAGroupHasNotAcknowledgedIsNeverTrimmed(t *testing.T) {
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	for name, c := range map[string]struct {
		read    int   // by the first group; a second has read everything
		unacked []int // of what was read
		how     durable.Trim
		left    int64
		held    bool
		unread  int64
	}{
		"no more than read":         {read: 400, how: durable.Trim{MaxLen: 100, Exact: true}, left: 600, held: true},
		"all read":                  {read: 1000, how: durable.Trim{MaxLen: 100, Exact: true}, left: 100},
		"one unfinished":            {read: 1000, unacked: []int{250}, how: durable.Trim{MaxLen: 100, Exact: true}, left: 750, held: true},
		"unfinished, within bounds": {read: 1000, unacked: []int{950}, how: durable.Trim{MaxLen: 100, Exact: true}, left: 100},
		"nothing read":              {how: durable.Trim{MaxLen: 100, Exact: true}, left: 1000, held: true},
		"by age":                    {read: 400, how: durable.Trim{Before: time.Now().Add(time.Hour), Exact: true}, left: 600, held: true},
		"nothing is so old":         {read: 400, how: durable.Trim{Before: time.Unix(1, 0), Exact: true}, left: 1000},
		"unread allowed":            {read: 400, how: durable.Trim{MaxLen: 100, Exact: true, AllowUnread: true}, left: 100, unread: 500},
		"unfinished allowed":        {read: 1000, unacked: []int{1, 2, 950}, how: durable.Trim{MaxLen: 100, Exact: true, AllowUnread: true}, left: 100, unread: 2},
	} {
		t.Run(name, func(t *testing.T) {
			topic := testenv.Name(t, "t")
			store(t, b, topic, 0, 1000)
			readBy(t, b, topic, "slow", c.read, c.unacked...)
			readBy(t, b, topic, "fast", 1000)
			got, err := b.Trim(t.Context(), topic, c.how)
			if err != nil {
				t.Fatal(err)
			}
			want := durable.Trimmed{Records: 1000 - c.left, Unread: c.unread, Held: c.held}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if n := b.control.XLen(t.Context(), topic).Val(); n != c.left {
				t.Errorf("got %d entries left, want %d", n, c.left)
			}
		})
	}
}

func TestApproximateTrimmingKeepsAtLeastWhatIsAsked(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	store(t, b, topic, 0, 1000)
	if _, err := b.Trim(t.Context(), topic, durable.Trim{MaxLen: 250}); err != nil {
		t.Fatal(err)
	}
	if n := b.control.XLen(t.Context(), topic).Val(); n < 250 || n > 450 {
		t.Errorf("without a group: got %d entries, want 250 and a node more", n)
	}
	readBy(t, b, topic, "g", 100)
	if got, err := b.Trim(t.Context(), topic, durable.Trim{MaxLen: 10}); err != nil || got.Records > 100 {
		t.Errorf("with a group: got %+v, %v, want at most what it has read removed", got, err)
	}
	if _, err := b.Trim(t.Context(), topic+"x", durable.Trim{MaxLen: 1}); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("no topic: got %v, want ErrTopicNotFound", err)
	}
}

func TestTopicsAreTrimmedInTheBackground(t *testing.T) {
	addr := testenv.Redis(t)
	length := func(b *Backend, topic string) int64 { return b.control.XLen(t.Context(), topic).Val() }
	for name, c := range map[string]struct {
		cfg  Config
		spec durable.TopicSpec
		want int64
	}{
		"length":             {cfg: Config{MaxLen: 50, ExactTrim: true}, want: 50},
		"age":                {cfg: Config{Retention: 50 * time.Millisecond, ExactTrim: true}, want: 0},
		"length of a topic":  {cfg: Config{MaxLen: 50, ExactTrim: true}, spec: durable.TopicSpec{MaxLen: 20}, want: 20},
		"age of a topic":     {cfg: Config{ExactTrim: true}, spec: durable.TopicSpec{Retention: 50 * time.Millisecond}, want: 0},
		"unread, if allowed": {cfg: Config{MaxLen: 50, ExactTrim: true, AllowUnread: true}, want: 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Addr = addr
			b := open(t, c.cfg)
			if c.spec.Name = testenv.Name(t, "t"); c.spec.MaxLen > 0 || c.spec.Retention > 0 {
				if err := b.CreateTopic(t.Context(), c.spec); err != nil {
					t.Fatal(err)
				}
			}
			store(t, b, c.spec.Name, 0, 300)
			if c.cfg.AllowUnread {
				readBy(t, b, c.spec.Name, "g", 0)
				store(t, b, c.spec.Name, 300, 700)
			}
			testenv.Await(t, time.Minute, func() bool { return length(b, c.spec.Name) == c.want }, fmt.Sprint(c.want, " entries are left"))
			counted := func() bool { got := b.Stats(); return got.Trimmed > 0 && (got.TrimmedUnread > 0) == c.cfg.AllowUnread }
			testenv.Await(t, time.Minute, counted, "trimmed entries are counted once the server has told of them, unread ones apart")
		})
	}
	b := open(t, Config{Connection: Connection{Addr: addr}, MaxLen: 50, ExactTrim: true})
	topic := testenv.Name(t, "t")
	store(t, b, topic, 0, 10)
	readBy(t, b, topic, "g", 10)
	store(t, b, topic, 10, 300)
	held := func() bool {
		b.trimmer.mu.Lock()
		defer b.trimmer.mu.Unlock()
		return b.trimmer.topics[topic].held
	}
	testenv.Await(t, time.Minute, held, "it is noticed that the group holds the topic")
	if n := length(b, topic); n != 290 {
		t.Errorf("got %d entries, want all that the group has not read", n)
	}
	if err := b.control.XGroupDestroy(t.Context(), topic, "g").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, time.Minute, func() bool { return length(b, topic) == 50 && !held() }, "it is trimmed without the group")
}

func TestStreamsEndAfterTheirTTL(t *testing.T) {
	addr := testenv.Redis(t)
	fixed := open(t, Config{Connection: Connection{Addr: addr}, TTL: time.Hour})
	sliding := open(t, Config{Connection: Connection{Addr: addr}, TTL: 2 * time.Hour, SlidingTTL: true})
	topic := testenv.Name(t, "t")
	left := func() time.Duration { return fixed.control.PTTL(t.Context(), topic).Val() }
	store(t, fixed, topic, 0, 3)
	first := left()
	if first <= 59*time.Minute || first > time.Hour {
		t.Fatalf("got %s left, want an hour", first)
	}
	if err := fixed.control.PExpire(t.Context(), topic, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	store(t, fixed, topic, 3, 4)
	if got := left(); got > time.Minute {
		t.Errorf("got %s left after another append, want no more than before", got)
	}
	store(t, sliding, topic, 4, 5)
	if got := left(); got <= time.Hour {
		t.Errorf("sliding: got %s left, want two hours", got)
	}
	many := durable.TopicSpec{Name: testenv.Name(t, "m"), Partitions: 2}
	if err := fixed.CreateTopic(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	ps, err := fixed.Append(t.Context(), many.Name, events(2)...)
	if err != nil {
		t.Fatal(err)
	}
	part, _, err := parsePosition(ps[0], 2)
	if err != nil || fixed.control.PTTL(t.Context(), streamKey(many.Name, part, 2)).Val() <= 0 {
		t.Errorf("partition %d: got %v and no TTL", part, err)
	}
}

func TestAppendingOnlyToWhatExists(t *testing.T) {
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}, OnlyExisting: true})
	topic := testenv.Name(t, "t")
	_, err := b.Append(t.Context(), topic, event(1))
	var batch *durable.BatchError
	if !errors.Is(err, durable.ErrTopicNotFound) || !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.Rejected {
		t.Errorf("got %v, want ErrTopicNotFound", err)
	}
	if err := b.control.XGroupCreateMkStream(t.Context(), topic, "g", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if ps, err := b.Append(t.Context(), topic, event(1)); err != nil || ps[0] == "" {
		t.Errorf("existing: got %v, %v, want it stored", ps, err)
	}
	for _, n := range []int{1, 3} {
		made := durable.TopicSpec{Name: testenv.Name(t, "m"), Partitions: n}
		must(t, errors.Join(b.CreateTopic(t.Context(), made), b.CreateTopic(t.Context(), made)))
		if _, err := b.Append(t.Context(), made.Name, events(20)...); err != nil {
			t.Errorf("created with %d partitions: %v", n, err)
		}
		if names, err := b.Groups(t.Context(), made.Name); err != nil || len(names) != 0 {
			t.Errorf("got groups %q, %v, want none", names, err)
		}
	}
}

func TestRemovedEntriesAreGone(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	ps, err := b.Append(t.Context(), topic, events(3)...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.Remove(t.Context(), topic, ps[1], ps[1]); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	if ids, err := replayed(t, b, topic, durable.Range{}); err != nil || len(ids) != 2 {
		t.Errorf("got %v, %v, want two", ids, err)
	}
	if _, err := b.Remove(t.Context(), topic, "nonsense"); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
