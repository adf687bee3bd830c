package redisstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// documented is the block behind "$ command" in the package docs.
func documented(t *testing.T, command string) string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "//\t$ "+command+"\n")
	if !ok {
		t.Fatalf("the docs have no %q", command)
	}
	var out strings.Builder
	for line := range strings.Lines(rest) {
		line, ok := strings.CutPrefix(line, "//\t")
		if !ok {
			break
		}
		out.WriteString(line)
	}
	return out.String()
}

func redisCLI(t *testing.T, addr string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), testenv.RedisCLI(t), append([]string{"-h", host, "-p", port, "--no-raw"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestRedisCLIShowsAnEntryAsTheDocsDo(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	msg := message.NewMessage("0190a5f2-6c6b-7c1e-9a55-3c1f3d0a7b10", []byte(`{"total":99}`))
	msg.Metadata.Set(durable.MetaPartitionKey, "42")
	if _, err := b.Append(soon(t), topic, msg); err != nil {
		t.Fatal(err)
	}
	got := redisCLI(t, addr, "XRANGE", topic, "-", "+")
	got = regexp.MustCompile(`"\d+-\d+"`).ReplaceAllString(got, `"1712345678901-0"`)
	if want := documented(t, "redis-cli XRANGE orders - +"); got != want {
		t.Errorf("redis-cli shows\n%s\nthe docs\n%s", got, want)
	}
}

// fields is a Marshaller of entries that are plain fields: those of a JSON object in the payload.
type fields struct{}

func (fields) Marshal(_ string, msg *message.Message) (map[string]any, error) {
	values := map[string]any{}
	return values, json.Unmarshal(msg.Payload, &values)
}

func (fields) Unmarshal(values map[string]any) (*message.Message, error) {
	payload, err := json.Marshal(values)
	msg := message.NewMessage(fmt.Sprint(values["ticketID"]), payload)
	msg.Metadata.Set(durable.MetaPartitionKey, msg.UUID)
	return msg, err
}

func TestAMarshallerOfPlainFieldsReadsAndWritesWhatRedisCLIDoes(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: fields{}})
	redisCLI(t, addr, "XADD", topic, "*", "ticketID", "42", "state", "open")
	if _, err := b.Append(soon(t), topic, message.NewMessage("", []byte(`{"ticketID":"43"}`))); err != nil {
		t.Fatal(err)
	}
	ds := fetch(t, join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}), 2)
	for i, want := range []map[string]string{{"ticketID": "42", "state": "open"}, {"ticketID": "43"}} {
		var got map[string]string
		if err := json.Unmarshal(ds[i].Message.Payload, &got); err != nil || !maps.Equal(got, want) ||
			ds[i].Key != want["ticketID"] || ds[i].DecodeErr != nil {
			t.Errorf("got %+v with %v, %v, want %v", ds[i], got, err, want)
		}
	}
	if shown := redisCLI(t, addr, "XRANGE", topic, "-", "+"); !strings.Contains(shown, "1) \"ticketID\"\n      2) \"43\"\n") {
		t.Errorf("redis-cli shows %s, want plain fields", shown)
	}
}
