package kafka

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// printed runs a program on input and returns its lines.
func printed(t *testing.T, cmd *exec.Cmd, input string) []string {
	t.Helper()
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// thousand are 1,000 keys of all kinds of text.
func thousand() []string {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s-%d", []string{"octocat", "owner/repo", "a:b", "schlüssel", "键", "🔑", "x y"}[i%7], i*i)
	}
	return keys
}

func TestTheJavaProducerPlacesAThousandKeysWhereWeDoAndWeReadItsHeaders(t *testing.T) {
	t.Parallel()
	b := opened(t)
	const partitions = 7
	topic := newTopic(t, b, partitions)
	var input strings.Builder
	for i, key := range thousand() {
		fmt.Fprintf(&input, "%s=java-%d,empty=\t%s\tpayload-%d\n", durable.MetaUUID, i, key, i)
	}
	printed(t, testenv.KafkaClient(t, testenv.ConsoleProducer, "--bootstrap-server", b.cfg.Brokers[0], "--topic", topic,
		"--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
		"--reader-property", "headers.key.separator=="), input.String())
	got := map[string]durable.Record{}
	for _, r := range replayed(t, b, topic, durable.Range{}) {
		got[r.Key] = r
	}
	for i, key := range thousand() {
		r, ok := got[key]
		if !ok || r.Partition != durable.Partition(key, partitions) {
			t.Fatalf("key %q: Java placed it in partition %d (found: %v), we place it in %d", key, r.Partition, ok, durable.Partition(key, partitions))
		}
		if empty, has := r.Message.Metadata["empty"]; r.Message.UUID != fmt.Sprint("java-", i) || !has || empty != "" ||
			string(r.Message.Payload) != fmt.Sprint("payload-", i) {
			t.Fatalf("key %q: got %+v of what Java wrote", key, r.Message)
		}
	}
}

func TestTheJavaConsumerReadsOurKeysHeadersAndPartitions(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic := newTopic(t, b, 7)
	want := map[string]string{}
	msgs := events(1000, func(i int) string { return thousand()[i] })
	for i, at := range mustAppend(t, b, topic, msgs...) {
		partition, _, _ := parsePosition(at)
		want[fmt.Sprintf("Partition:%d|%s", partition, thousand()[i])] = msgs[i].UUID + "," + fmt.Sprint("payload-", i)
	}
	lines := printed(t, testenv.KafkaClient(t, testenv.ConsoleConsumer, "--bootstrap-server", b.cfg.Brokers[0], "--topic", topic,
		"--from-beginning", "--max-messages", "1000", "--formatter-property", "print.key=true",
		"--formatter-property", "print.headers=true", "--formatter-property", "print.partition=true",
		"--formatter-property", "key.separator=|"), "")
	for _, line := range lines {
		f := strings.Split(line, "|") // partition, headers, key, value
		if len(f) != 4 {
			t.Fatalf("cannot read %q", line)
		}
		uuid, payload, _ := strings.Cut(want[f[0]+"|"+f[2]], ",")
		if f[3] != payload || !strings.Contains(f[1], durable.MetaUUID+":"+uuid) || !strings.Contains(f[1], durable.MetaPartitionKey+":"+f[2]) {
			t.Fatalf("Java read %q, want the headers of %s and %s", line, uuid, payload)
		}
	}
	if len(lines) != 1000 {
		t.Errorf("Java read %d records, want 1000", len(lines))
	}
}

func TestKcatPrintsOurEventsAndWritesOnesThatWeRead(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic := newTopic(t, b, 1)
	event := durable.Event{
		ID: "id-1", Type: "order.created", SourceType: "order", SourceID: "7", Data: []byte(`{"total":3}`),
		ContentType: "application/json", Metadata: map[string]string{"app": "shop"},
	}
	msg, err := event.Message("")
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, topic, msg)
	lines := printed(t, testenv.Kcat(t, "-b", b.cfg.Brokers[0], "-C", "-q", "-e", "-t", topic, "-o", "beginning", "-J"), "")
	var got struct {
		Partition, Offset int
		Key, Payload      string
		Headers           []string
	}
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil || len(lines) != 1 {
		t.Fatalf("kcat printed %q: %v", lines, err)
	}
	found := map[string]string{}
	for i := 0; i+1 < len(got.Headers); i += 2 {
		found[got.Headers[i]] = got.Headers[i+1]
	}
	if got.Key != "7" || got.Payload != string(event.Data) || found[durable.MetaType] != event.Type ||
		found[durable.MetaID] != event.ID || found["app"] != "shop" {
		t.Errorf("kcat printed %q", lines[0])
	}
	printed(t, testenv.Kcat(t, "-b", b.cfg.Brokers[0], "-P", "-t", topic, "-K", ":", "-H", "app=kcat", "-H", durable.MetaUUID+"=k"), "key:payload\n")
	rs := replayed(t, b, topic, durable.Range{})
	if r := rs[len(rs)-1]; r.Key != "key" || string(r.Message.Payload) != "payload" || r.Message.Metadata["app"] != "kcat" || r.Message.UUID != "k" {
		t.Errorf("got %+v of what kcat wrote", r)
	}
}
