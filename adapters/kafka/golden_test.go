package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// golden are the lines of a file of what an earlier version stored. It is never changed: a version that stores something
// else adds files of its own, and still reads these.
func golden(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// rawClient is a client that knows nothing of this package.
func rawClient(t *testing.T) sarama.Client {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Producer.Return.Successes = true
	client, err := sarama.NewClient(testenv.Kafka(t), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// lines is a record as text: its key, its headers sorted, and its value.
func lines(key []byte, headers []*sarama.RecordHeader, value []byte) []string {
	var out []string
	for _, h := range headers {
		out = append(out, fmt.Sprintf("header %q %q", h.Key, h.Value))
	}
	slices.Sort(out)
	return append(append([]string{fmt.Sprintf("key %q", key)}, out...), fmt.Sprintf("value %q", value))
}

func goldenEvent(t *testing.T) *message.Message {
	t.Helper()
	msg := message.NewMessage("0190", []byte("pay\x00load\xff"))
	msg.Metadata = message.Metadata{
		durable.MetaSpecVersion: "1.0", durable.MetaID: "0190", durable.MetaType: "order.created", durable.MetaSource: "/order",
		durable.MetaSubject: "42", durable.MetaTime: "2026-01-02T03:04:05.000000006Z", durable.MetaPartitionKey: "42",
		durable.MetaContentType: "application/json", "tenant": "é",
	}
	return msg
}

func TestARecordIsWrittenAsByVersion1(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, goldenEvent(t))
	c, err := sarama.NewConsumerFromClient(rawClient(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	rec := <-p.Messages()
	if got, want := lines(rec.Key, rec.Headers, rec.Value), golden(t, "v1_record.txt"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// goldenRecord is the record of the golden file.
func goldenRecord(t *testing.T, topic string) *sarama.ProducerMessage {
	t.Helper()
	rec := &sarama.ProducerMessage{Topic: topic}
	for _, line := range golden(t, "v1_record.txt") {
		var words []string
		for rest := line[strings.IndexByte(line, ' ')+1:]; rest != ""; {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			words, rest = append(words, text), strings.TrimPrefix(rest[len(quoted):], " ")
		}
		switch strings.Fields(line)[0] {
		case "key":
			rec.Key = sarama.StringEncoder(words[0])
		case "value":
			rec.Value = sarama.StringEncoder(words[0])
		default:
			rec.Headers = append(rec.Headers, sarama.RecordHeader{Key: []byte(words[0]), Value: []byte(words[1])})
		}
	}
	return rec
}

// A group whose offsets and note version 1 committed goes on without handling anything again, and counts on.
func TestAGroupOfVersion1GoesOn(t *testing.T) {
	b, raw := opened(t), rawClient(t)
	topic, group := newTopic(t, b, 1), testenv.Name(t, "g")
	producer, err := sarama.NewSyncProducerFromClient(raw)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, _, err := producer.SendMessage(goldenRecord(t, topic)); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.Close(); err != nil {
		t.Fatal(err)
	}
	committed := golden(t, "v1_note.txt") // an offset and the note beside it
	offset, err := strconv.ParseInt(committed[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	om, err := sarama.NewOffsetManagerFromClient(group, raw)
	if err != nil {
		t.Fatal(err)
	}
	pom, err := om.ManagePartition(topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	pom.MarkOffset(offset, committed[1])
	om.Commit()
	pom.AsyncClose()
	if err := om.Close(); err != nil {
		t.Fatal(err)
	}

	c := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	want := []string{"0:2 attempt 3", "0:3 attempt 2", "0:4 attempt 1"}
	for i, d := range fetch(t, c, 3) {
		place, _, _ := strings.Cut(string(d.Position), "@")
		if got := fmt.Sprintf("%s attempt %d", place, d.Attempt); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
		if !d.Message.Equals(goldenEvent(t)) || d.Key != "42" || d.DecodeErr != nil {
			t.Errorf("got %+v with key %q, %v, want the event of version 1", d.Message, d.Key, d.DecodeErr)
		}
	}
}

func TestTheNoteBesideAnOffsetIsThatOfVersion1(t *testing.T) {
	want := golden(t, "v1_note.txt")
	if got := (tally{{2, 2}, {3, 1}}).note(""); got != want[1] {
		t.Errorf("got %q, want %q", got, want[1])
	}
	if got := (tally{{2, 2}, {3, 1}}).note("Ab3_x9Qz"); got != want[2] {
		t.Errorf("got %q, want %q", got, want[2])
	}
	if got := parseTally(want[2]); got.times(2) != 2 || got.times(3) != 1 || got.times(4) != 0 || notedIncarnation(want[2]) != "Ab3_x9Qz" {
		t.Errorf("got %v of %q", got, notedIncarnation(want[2]))
	}
}

// A position of version 1 was partition and offset alone.
func TestAPositionOfVersion1IsStillOne(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(4, oneKey)...)
	r := durable.Range{From: durable.After(durable.Cursor{0: "0:1"}), To: durable.Cursor{0: "0:2"}}
	if got := replayed(t, b, topic, r); len(got) != 1 || got[0].Message.Metadata["n"] != "2" {
		t.Errorf("got %d records, want the third one", len(got))
	}
}
