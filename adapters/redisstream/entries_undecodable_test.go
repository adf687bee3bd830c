package redisstream

import (
	"errors"
	"log/slog"
	"maps"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

const (
	brokenMeta = "\xde\xff\x00"
	rawPayload = "\xff\x00\xfe payload \xed\xa0\x80"
)

// undecodables are entries that are no messages, and what is delivered of them. Without an id it is that of the entry.
var undecodables = []struct {
	entry             []string
	id, payload, rest string
}{
	{[]string{"data", rawPayload}, "", `{"data":{"base64":"/wD+IHBheWxvYWQg7aCA"}}`, ""},
	{[]string{fieldUUID, "u-1", fieldMetadata, brokenMeta, fieldPayload, rawPayload}, "u-1", rawPayload, `{"metadata":{"base64":"3v8A"}}`},
	{[]string{fieldPayload, rawPayload}, "", rawPayload, ""},
	{[]string{fieldPayload, ""}, "", "", ""},
	{[]string{fieldUUID, "", fieldMetadata, brokenMeta, fieldPayload, "p"}, "", "p", `{"_watermill_message_uuid":"","metadata":{"base64":"3v8A"}}`},
	{[]string{fieldUUID, "u-2", fieldMetadata, "\xc1", "user", "7", fieldPayload, "p"}, "u-2", "p", `{"metadata":{"base64":"wQ=="},"user":"7"}`},
	{[]string{fieldUUID, "u-3", fieldMetadata, brokenMeta}, "", `{"_watermill_message_uuid":"u-3","metadata":{"base64":"3v8A"}}`, ""},
	{[]string{"a", "2", "b", "\xff", "a", "1"}, "", `{"a":["2","1"],"b":{"base64":"/w=="}}`, ""},
	{[]string{fieldPayload, "1", fieldPayload, "\xff"}, "", `{"payload":["1",{"base64":"/w=="}]}`, ""},
	{[]string{fieldUUID, "u", fieldUUID, "v", fieldMetadata, brokenMeta, fieldPayload, rawPayload}, "", rawPayload, `{"_watermill_message_uuid":["u","v"],"metadata":{"base64":"3v8A"}}`},
	{[]string{"n\xff", "1"}, "", "{\"n\uFFFD\":{\"name\":{\"base64\":\"bv8=\"},\"value\":\"1\"}}", ""},
}

// storeUndecodables has them in topic, with a good entry behind them.
func storeUndecodables(t *testing.T, b *Backend, topic string) (ids []string) {
	t.Helper()
	for _, u := range undecodables {
		ids = append(ids, bare(t, client(t, testenv.Redis(t)), topic, u.entry...))
	}
	store(t, b, topic, 0, 1)
	return append(ids, "")
}

// judgeUndecodable looks at what came of entry i, whose id is id.
func judgeUndecodable(t *testing.T, way string, i int, id string, msg *message.Message, err error) {
	t.Helper()
	if i == len(undecodables) {
		if err != nil || !msg.Equals(event(0)) {
			t.Errorf("%s: got %+v with %v behind them, want the good entry", way, msg, err)
		}
		return
	}
	u, meta := undecodables[i], map[string]string{}
	if u.id != "" {
		id = u.id
	}
	if u.rest != "" {
		meta[MetaFields] = u.rest
	}
	if err == nil || msg.UUID != id || string(msg.Payload) != u.payload || !maps.Equal(msg.Metadata, meta) {
		t.Errorf("%s: %q: got %q, %q, %q with %v, want %q, %q, %q and a DecodeErr", way, u.entry, msg.UUID, msg.Payload, msg.Metadata, err, id, u.payload, meta)
	}
}

// TestAnEntryThatIsNoMessageLosesNoByte reads by both decoders: replays and claims have one of them, reads the other.
func TestAnEntryThatIsNoMessageLosesNoByte(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	ids := storeUndecodables(t, b, topic)
	for i, r := range records(t, b, topic) {
		judgeUndecodable(t, "replay", i, ids[i], r.Message, r.DecodeErr)
	}
	for i, d := range fetch(t, join(t, b, durable.Group{Name: "ordered", Topics: durable.Topics(topic)}), len(ids)) {
		judgeUndecodable(t, "per key", i, ids[i], d.Message, d.DecodeErr)
	}
	for _, way := range []string{"competing", "pending"} {
		c := join(t, b, competing(topic, "m"))
		for i, d := range fetch(t, c, len(ids)) {
			judgeUndecodable(t, way, i, ids[i], d.Message, d.DecodeErr)
		}
		must(t, c.Close(soon(t)))
	}
}

func TestAnEntryThatIsNoMessageIsPoisonedByteForByte(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
			ids := storeUndecodables(t, b, topic)
			poison := &middleware.Poison{Backend: b, Logger: slog.New(slog.DiscardHandler)}
			ctx, stop := contextOf(t)
			handle := poison.Middleware(func(msg *message.Message) ([]*message.Message, error) {
				if msg.UUID != event(0).UUID {
					t.Errorf("got %s, want the good entry alone", msg.UUID)
				}
				stop()
				return nil, nil
			})
			g := durable.Group{Name: "g", Topics: durable.Topics(topic), Ordering: ordering}
			must(t, durable.Process(ctx, b, g, func(msg *message.Message) error {
				_, err := handle(msg)
				return err
			}, durable.ProcessOptions{Concurrency: 1}))
			got := records(t, b, topic+middleware.DefaultPoisonSuffix)
			if len(got) != len(undecodables) {
				t.Fatalf("got %d records, want %d", len(got), len(undecodables))
			}
			for i, r := range got {
				if class := r.Message.Metadata[middleware.MetaPoisonClass]; class != middleware.ReasonUndecodable || r.DecodeErr != nil {
					t.Errorf("got %q, %v, want %q", class, r.DecodeErr, middleware.ReasonUndecodable)
				}
				maps.DeleteFunc(r.Message.Metadata, func(k, _ string) bool { return k != MetaFields })
				judgeUndecodable(t, "poison", i, ids[i], r.Message, errors.New("poisoned"))
			}
		})
	}
}

// refusing is a marshaller that reads nothing.
type refusing struct{ Fields }

func (refusing) Unmarshal(map[string]any) (*message.Message, error) {
	return nil, errors.New("refused")
}

func TestWhatAMarshallerRefusesIsAJSONObjectOfAllFields(t *testing.T) {
	broken := []string{fieldUUID, "u", fieldMetadata, brokenMeta, fieldPayload, rawPayload}
	all := `{"_watermill_message_uuid":"u","metadata":{"base64":"3v8A"},"payload":{"base64":"/wD+IHBheWxvYWQg7aCA"}}`
	for name, c := range map[string]struct {
		marshaller Marshaller
		entry      []string
		want       string
	}{
		"own":                          {refusing{}, broken, all},
		"own, no id":                   {refusing{}, broken[2:], `{"metadata":{"base64":"3v8A"},"payload":{"base64":"/wD+IHBheWxvYWQg7aCA"}}`},
		"fields":                       {dataFields, []string{"payload", rawPayload}, `{"payload":{"base64":"/wD+IHBheWxvYWQg7aCA"}}`},
		"fields of the default layout": {dataFields, broken, rawPayload},
		"fields as JSON": {
			Fields{SourceID: "id", SourceType: "ticket", DefaultType: "opened"},
			[]string{"id", "1", "by", "\xff", "by", "\xfe"},
			`{"by":[{"base64":"/w=="},{"base64":"/g=="}],"id":"1"}`,
		},
	} {
		topic := testenv.Name(t, "t")
		bare(t, client(t, testenv.Redis(t)), topic, c.entry...)
		b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}, Marshaller: c.marshaller})
		r := records(t, b, topic)[0]
		d := fetch(t, join(t, b, competing(topic, "m")), 1)[0]
		for _, got := range []durable.Record{r, {Message: d.Message, DecodeErr: d.DecodeErr}} {
			if got.DecodeErr == nil || string(got.Message.Payload) != c.want {
				t.Errorf("%s: got %s with %v, want %s and a DecodeErr", name, got.Message.Payload, got.DecodeErr, c.want)
			}
		}
	}
}

// FuzzBothDecodersAgree has an entry in both forms of reply.
func FuzzBothDecodersAgree(f *testing.F) {
	f.Add("u", brokenMeta, rawPayload, "x", "\xff", uint8(0))
	f.Add("u", "\x81\xa1a\xa1b", "p", fieldPayload, "q", uint8(3))
	f.Fuzz(func(t *testing.T, uuid, meta, payload, name, value string, leave uint8) {
		words := []string{fieldUUID, uuid, fieldMetadata, meta, fieldPayload, payload, name, value}
		words = words[min(int(leave%4)*2, 6):]
		fields := make([]any, len(words))
		for i, w := range words {
			fields[i] = w
		}
		raw := rediskit.AppendArray(nil, 2)
		raw = rediskit.AppendCommand(rediskit.AppendWord(raw, "1-0"), words...)
		for _, b := range []*Backend{{}, {cfg: Config{Marshaller: dataFields}}} {
			r := rediskit.NewReply(raw)
			one := b.delivery(place{topic: "t", of: 1}, nil, b.rawEntry(&r))
			es, err := parseEntries([]any{[]any{"1-0", fields}}, 1)
			must(t, err)
			other := b.delivery(place{topic: "t", of: 1}, nil, es[0])
			if r.Bad() || !one.Message.Equals(other.Message) || (one.DecodeErr == nil) != (other.DecodeErr == nil) || one.Key != other.Key {
				t.Errorf("%q: got %+v, %v and %+v, %v", words, one.Message, one.DecodeErr, other.Message, other.DecodeErr)
			}
		}
	})
}
