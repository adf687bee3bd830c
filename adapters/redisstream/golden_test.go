package redisstream

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// The golden files hold what an earlier version left on the server. They are never changed: a version that writes
// something else adds files of its own, and still goes on from these.
func golden(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	must(t, err)
	var lines []string
	for s := bufio.NewScanner(strings.NewReader(string(data))); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

var word = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

// load runs the commands of a golden file, whose words may be quoted as those of Go.
func loadGolden(t *testing.T, raw *redis.Client, name, topic, group string) {
	t.Helper()
	for _, line := range golden(t, name) {
		var args []any
		for _, w := range word.FindAllString(line, -1) {
			if strings.HasPrefix(w, `"`) {
				text, err := strconv.Unquote(w)
				must(t, err)
				w = text
			}
			args = append(args, strings.NewReplacer("@topic", topic, "@group", group).Replace(w))
		}
		must(t, raw.Do(t.Context(), args...).Err())
	}
}

func TestAnOrderedGroupOfVersion1GoesOn(t *testing.T) {
	b, topic, group := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t"), testenv.Name(t, "g")
	loadGolden(t, client(t, testenv.Redis(t)), "v1_ordered.redis", topic, group)
	g := durable.Group{Name: group, Topics: durable.Topics(topic), Start: durable.Newest()}
	c := join(t, b, g)
	want := []string{"4000-0 attempt 3", "5000-0 attempt 1"} // 3000-0 was done, and what is before the position, too
	for i, d := range fetch(t, c, 2) {
		_, id, err := parsePosition(d.Position, 2)
		must(t, err)
		if got := fmt.Sprintf("%s attempt %d", id, d.Attempt); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
		if d.Claim.Epoch() <= 7 {
			t.Errorf("got epoch %d, want a later one than that of version 1", d.Claim.Epoch())
		}
		if d.Message.UUID != "id-"+id[:1] || d.Message.Metadata["n"] != id[:1] || string(d.Message.Payload) != "payload-"+id[:1] {
			t.Errorf("%s: got %+v", id, d.Message)
		}
		must(t, c.Ack(t.Context(), d))
	}
	must(t, c.Close(soon(t)))
	info, err := b.control.XInfoGroups(t.Context(), streamKey(topic, 0, 2)).Result()
	must(t, err)
	if info[0].LastDeliveredID != "5000-0" || info[0].Lag != 0 {
		t.Errorf("got %+v, want everything committed", info[0])
	}
}

func TestACompetingGroupOfVersion1GoesOn(t *testing.T) {
	b, topic, group := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t"), testenv.Name(t, "g")
	loadGolden(t, client(t, testenv.Redis(t)), "v1_competing.redis", topic, group)
	c := join(t, b, durable.Group{Name: group, Member: "old", Topics: durable.Topics(topic), Ordering: durable.None, Start: durable.Newest()})
	got := []string{}
	for _, d := range fetch(t, c, 2) { // 1000-0 was acknowledged, 2000-0 pending of the member of that name
		got = append(got, fmt.Sprintf("%s attempt %d", d.Position, d.Attempt))
		must(t, c.Ack(t.Context(), d))
	}
	slices.Sort(got)
	if want := []string{"2000-0 attempt 2", "3000-0 attempt 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnEntryOfVersion1IsReadAndWrittenAsItWas(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}}), client(t, addr)
	msg := message.NewMessage("0190-id", []byte("pay\x00load\xff"))
	msg.Metadata = message.Metadata{"ce_type": "order.created"}
	if _, err := b.Append(t.Context(), topic, msg); err != nil {
		t.Fatal(err)
	}
	reply, err := raw.Do(t.Context(), "XRANGE", topic, "-", "+").Slice()
	must(t, err)
	var fields []string
	for _, f := range reply[0].([]any)[1].([]any) {
		fields = append(fields, strconv.Quote(f.(string)))
	}
	if got, want := strings.Join(fields, " "), golden(t, "v1_entry.txt")[0]; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	other := testenv.Name(t, "t")
	args := []any{"XADD", other, "*"}
	for _, w := range word.FindAllString(golden(t, "v1_entry.txt")[0], -1) {
		text, err := strconv.Unquote(w)
		must(t, err)
		args = append(args, text)
	}
	must(t, raw.Do(t.Context(), args...).Err())
	for r, err := range b.Replay(t.Context(), other, durable.Range{}) {
		if err != nil || r.DecodeErr != nil || !r.Message.Equals(msg) {
			t.Errorf("got %+v, %v, %v, want what was stored", r.Message, r.DecodeErr, err)
		}
	}
}

// masks are what differs from run to run in what is kept.
var masks = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[A-Z2-7]{26}`), "RANDOM"},
	{regexp.MustCompile(`\b\d{13} `), "MILLISECONDS "},
	{regexp.MustCompile(`\[[0-9,]*\]`), "[PARTITIONS]"},
}

// TestWhatIsKeptOfAnOrderedGroupIsThatOfVersion1 compares every key, field and form of value: a change of it needs a
// reader of the old one, and a golden file of its own.
func TestWhatIsKeptOfAnOrderedGroupIsThatOfVersion1(t *testing.T) {
	addr, topic, group := testenv.Redis(t), testenv.Name(t, "t"), testenv.Name(t, "g")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}, LeaseTTL: time.Minute}), client(t, addr)
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2, MaxLen: 1000, Retention: time.Hour}))
	part := durable.Partition("k", 2)
	var ids []string
	for i := range 4 {
		ps, err := b.Append(t.Context(), topic, event(i))
		must(t, err)
		_, id, err := parsePosition(ps[0], 2)
		must(t, err)
		ids = append(ids, id)
	}
	c := join(t, b, durable.Group{Name: group, Member: "m", Topics: durable.Topics(topic)})
	ds := fetch(t, c, 4)
	p := newPlace(topic, part, 2)
	var got []string
	note := func(what string, value any, err error) {
		must(t, err)
		text := fmt.Sprintf("%s: %q", what, value)
		for i, id := range ids {
			text = strings.ReplaceAll(text, id, fmt.Sprint("ENTRY", i))
		}
		for _, m := range masks {
			text = m.what.ReplaceAllString(text, m.as)
		}
		text = strings.NewReplacer(topic, "@topic", group, "@group").Replace(text)
		got = append(got, text)
	}
	hash := func(key string) {
		fields, err := raw.HGetAll(t.Context(), key).Result()
		if items := strings.Fields(fields["left"]); len(items) > 0 { // behind the position they come in any order
			slices.Sort(items[1:])
			fields["left"] = strings.Join(items, " ")
		}
		note("hash "+key, fields, err)
	}
	text := func(key string) {
		value, err := raw.Get(t.Context(), key).Result()
		note("text "+key, value, err)
	}
	text(topic)
	hash(topicKey(topic))
	hash(membersKey(group))
	text(p.leaseKey(group))
	hash(p.groupKey(group))
	must(t, c.Ack(t.Context(), ds[0], ds[2]))
	must(t, c.Close(soon(t)))
	hash(p.groupKey(group))
	info, err := raw.XInfoGroups(t.Context(), p.key).Result()
	note("group of "+p.key, fmt.Sprint(info[0].Name, " at ", info[0].LastDeliveredID, " read ", info[0].EntriesRead, " pending ", info[0].Pending), err)
	if want := golden(t, "v1_kept.txt"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWhatALaterVersionKeepsIsRefusedByName has a topic and a group of a version that is yet to come.
func TestWhatALaterVersionKeepsIsRefusedByName(t *testing.T) {
	addr, topic, group := testenv.Redis(t), testenv.Name(t, "t"), testenv.Name(t, "g")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}}), client(t, addr)
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, durable.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), `version "2"`) {
			t.Errorf("%s: got %v, want ErrUnsupported that names version 2", what, err)
		}
	}
	must(t, raw.HSet(t.Context(), newPlace(topic, 0, 1).groupKey(group), "version", "2").Err())
	for _, o := range []durable.Ordering{durable.PerKey, durable.None} {
		_, err := b.Consume(soon(t), durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: o})
		refused("consume", err)
	}
	later := testenv.Name(t, "t")
	must(t, raw.HSet(t.Context(), topicKey(later), "partitions", "2", "version", "2").Err())
	_, err := b.Append(soon(t), later, event(0))
	refused("append", err)
	_, err = replayed(t, b, later, durable.Range{})
	refused("replay", err)
}
