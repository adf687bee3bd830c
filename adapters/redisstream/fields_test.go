package redisstream

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

var _ original.MarshallerUnmarshaller = Fields{}

// The fields of tickets: with a payload of members, and of one field.
var (
	memberFields = Fields{SourceID: "ticketID", SourceType: "ticket", Type: "event", DefaultType: "ticket.changed"}
	dataFields   = Fields{SourceID: "ticketID", SourceType: "ticket", Type: "whatHappened", ID: "id", Time: "at", Data: "ticketData"}
)

// bare adds an entry as a program does that knows nothing of us.
func bare(t *testing.T, c *redis.Client, stream string, values ...string) (id string) {
	t.Helper()
	id, err := c.XAdd(soon(t), &redis.XAddArgs{Stream: stream, Values: values}).Result()
	must(t, err)
	return id
}

// records are those of topic, by a replay.
func records(t *testing.T, b *Backend, topic string) []durable.Record {
	t.Helper()
	var out []durable.Record
	for r, err := range b.Replay(soon(t), topic, durable.Range{}) {
		must(t, err)
		out = append(out, r)
	}
	return out
}

func TestFieldsOfABareClientAreAnEvent(t *testing.T) {
	addr := testenv.Redis(t)
	c := client(t, addr)
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			topic := testenv.Name(t, "t")
			b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: memberFields})
			id := bare(t, c, topic, "ticketID", "42", "state", "open", "note", "")
			d := fetch(t, join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic), Ordering: ordering}), 1)[0]
			if d.DecodeErr != nil || d.Key != "42" {
				t.Fatalf("got %v of key %q", d.DecodeErr, d.Key)
			}
			for _, msg := range []*message.Message{d.Message, records(t, b, topic)[0].Message} {
				e, err := durable.EventOf(msg)
				if err != nil || e.ID != id || e.SourceType != "ticket" || e.SourceID != "42" || e.Type != "ticket.changed" ||
					!e.Time.Equal(storedAt(id)) || e.ContentType != "application/json" || string(e.Data) != `{"note":"","state":"open"}` {
					t.Errorf("got %+v, %v of the entry %s", e, err, id)
				}
			}
		})
	}
}

func TestABareClientReadsFields(t *testing.T) {
	addr := testenv.Redis(t)
	c := client(t, addr)
	at := time.Unix(1, 2).UTC()
	for name, k := range map[string]struct {
		codec Fields
		data  string
		want  map[string]any
	}{
		"members": {
			memberFields, `{"state":"open","n":1.50,"big":12345678901234567890,"ok":true,"none":""}`,
			map[string]any{"ticketID": "42", "event": "opened", "state": "open", "n": "1.50", "big": "12345678901234567890", "ok": "true", "none": "", "meta.by": "me"},
		},
		"no members": {memberFields, "", map[string]any{"ticketID": "42", "event": "opened", "meta.by": "me"}},
		"data": {
			dataFields, "\x00\xff raw",
			map[string]any{"ticketID": "42", "whatHappened": "opened", "id": "7", "at": "1970-01-01T00:00:01.000000002Z", "ticketData": "\x00\xff raw", "by": "me"},
		},
		"no data": {
			dataFields, "",
			map[string]any{"ticketID": "42", "whatHappened": "opened", "id": "7", "at": "1970-01-01T00:00:01.000000002Z", "ticketData": "", "by": "me"},
		},
	} {
		for _, ordered := range []bool{false, true} {
			topic := testenv.Name(t, "t")
			b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: k.codec, OrderedAppend: ordered})
			e := durable.Event{ID: "7", Type: "opened", SourceType: "ticket", SourceID: "42", Time: at, Data: []byte(k.data), Metadata: map[string]string{"by": "me"}}
			msg, err := e.Message("")
			must(t, err)
			_, err = b.Append(soon(t), topic, msg)
			must(t, err)
			entries, err := c.XRange(soon(t), topic, "-", "+").Result()
			if err != nil || len(entries) != 1 || !maps.Equal(entries[0].Values, k.want) {
				t.Errorf("%s: a bare client reads %v, %v, want %v", name, entries, err, k.want)
			}
		}
	}
}

func TestWhatFieldsStoreIsReadBack(t *testing.T) {
	addr := testenv.Redis(t)
	at := time.Unix(5, 6).UTC()
	for name, k := range map[string]struct {
		codec       Fields
		contentType string
		key         string
	}{
		"members":                     {memberFields, "application/json", ""},
		"members of a type":           {memberFields, "application/json; charset=utf-8", "other"},
		"data":                        {dataFields, "application/json", "other"},
		"data of no type":             {dataFields, "", ""},
		"members with ID and Time":    {Fields{SourceID: "k", SourceType: "ticket", DefaultType: "opened", ID: "", Time: "t"}, "application/json", "x"},
		"members, all attributes":     {Fields{SourceID: "k", SourceType: "ticket", Type: "y", ID: "i", Time: "t"}, "application/json", ""},
		"data in a field like meta.x": {Fields{SourceID: "k", SourceType: "ticket", Type: "y", ID: "i", Data: "meta.x"}, "text/plain", ""},
	} {
		b, topic := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: k.codec}), testenv.Name(t, "t")
		want := durable.Event{
			ID: "7", Type: "opened", SourceType: "ticket", SourceID: "a:b/1", Time: at, ContentType: k.contentType,
			Data: []byte(`{"state":"<ö>"}`), Metadata: map[string]string{"traceparent": "00-1", "topic_poisoned": "t"},
		}
		msg, err := want.Message(k.key)
		must(t, err)
		ps, err := b.Append(soon(t), topic, msg)
		must(t, err)
		if k.codec.ID == "" {
			want.ID = string(ps[0])
		}
		if k.codec.Time == "" {
			want.Time = storedAt(string(ps[0]))
		}
		r := records(t, b, topic)[0]
		got, err := durable.EventOf(r.Message)
		text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(got.Data))
		if err != nil || got.ID != want.ID || got.Type != want.Type || got.SourceID != want.SourceID || !got.Time.Equal(want.Time) ||
			got.ContentType != want.ContentType || text != string(want.Data) || !maps.Equal(got.Metadata, want.Metadata) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		if wantKey := max(k.key, ""); r.Key != wantKey && (wantKey != "" || r.Key != want.SourceID) {
			t.Errorf("%s: got the key %q", name, r.Key)
		}
	}
}

func TestAForeignEntryAmongFieldsIsDeliveredAsItIs(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	c := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: dataFields})
	bare(t, c, topic, "user", "7")                                                                 // no ticket
	bare(t, c, topic, "ticketID", "42")                                                            // nothing happened
	bare(t, c, topic, "ticketID", "", "whatHappened", "opened")                                    // empty
	bare(t, c, topic, "ticketID", "42", "whatHappened", "opened", "at", "today")                   // no time
	bare(t, c, topic, "ticketID", "42", "whatHappened", "opened", "", "nameless")                  // no metadata
	_, err := open(t, Config{Connection: Connection{Addr: addr}}).Append(soon(t), topic, event(5)) // the default layout
	must(t, err)
	_, err = b.Append(soon(t), topic, event(6)) // no event
	must(t, err)
	id := bare(t, c, topic, "ticketID", "42", "whatHappened", "opened", "by", "me") // of more fields, and without data
	ds := fetch(t, join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}), 8)
	for i, want := range []string{
		`{"user":"7"}`, `{"ticketID":"42"}`, `{"ticketID":"","whatHappened":"opened"}`,
		`{"at":"today","ticketID":"42","whatHappened":"opened"}`, `{"":"nameless","ticketID":"42","whatHappened":"opened"}`,
	} {
		if d := ds[i]; d.DecodeErr == nil || string(d.Message.Payload) != want {
			t.Errorf("got %s with %v, want a DecodeErr and %s", d.Message.Payload, d.DecodeErr, want)
		}
	}
	if !strings.Contains(ds[0].DecodeErr.Error(), "ticketID") || !strings.Contains(ds[1].DecodeErr.Error(), "whatHappened") {
		t.Errorf("got %v and %v, want the missing fields named", ds[0].DecodeErr, ds[1].DecodeErr)
	}
	for i := range 2 {
		want := event(5 + i)
		if d := ds[5+i]; d.DecodeErr != nil || d.Message.UUID != want.UUID || string(d.Message.Payload) != string(want.Payload) || !maps.Equal(d.Message.Metadata, want.Metadata) {
			t.Errorf("got %+v with %v, want the message of the default layout", d.Message, d.DecodeErr)
		}
	}
	e, err := durable.EventOf(ds[7].Message)
	if err != nil || e.ID != id || e.Metadata["by"] != "me" || len(e.Metadata) != 1 || len(e.Data) != 0 {
		t.Errorf("got %+v, %v, want the other field as metadata", e, err)
	}
}

func TestFieldsRefuseWhatTheyWouldLose(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	good := durable.Event{Type: "opened", SourceType: "ticket", SourceID: "42", Data: []byte(`{}`)}
	with := func(change func(*durable.Event)) durable.Event {
		e := good
		change(&e)
		return e
	}
	untyped := Fields{SourceID: "ticketID", SourceType: "ticket", DefaultType: "ticket.changed"}
	for name, k := range map[string]struct {
		codec Fields
		event durable.Event
	}{
		"a member named as a field":     {memberFields, with(func(e *durable.Event) { e.Data = []byte(`{"ticketID":"42"}`) })},
		"a member named as metadata":    {memberFields, with(func(e *durable.Event) { e.Data = []byte(`{"meta.by":"me"}`) })},
		"the UUID's name":               {memberFields, with(func(e *durable.Event) { e.Data = []byte(`{"_watermill_message_uuid":"1"}`) })},
		"an object in it":               {memberFields, with(func(e *durable.Event) { e.Data = []byte(`{"a":{}}`) })},
		"an array in it":                {memberFields, with(func(e *durable.Event) { e.Data = []byte(`{"a":[1]}`) })},
		"null in it":                    {memberFields, with(func(e *durable.Event) { e.Data = []byte(`{"a":null}`) })},
		"no object":                     {memberFields, with(func(e *durable.Event) { e.Data = []byte(`[1]`) })},
		"null":                          {memberFields, with(func(e *durable.Event) { e.Data = []byte(`null`) })},
		"text":                          {memberFields, with(func(e *durable.Event) { e.Data = []byte("plain") })},
		"metadata named as a field":     {dataFields, with(func(e *durable.Event) { e.Metadata = map[string]string{"ticketData": "x"} })},
		"another source type":           {dataFields, with(func(e *durable.Event) { e.SourceType = "order" })},
		"a type that is stored nowhere": {untyped, good},
	} {
		b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: k.codec})
		msg, err := k.event.Message("")
		must(t, err)
		_, err = b.Append(soon(t), topic, msg)
		var batch *durable.BatchError
		if !errors.Is(err, durable.ErrInvalid) || !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.Rejected {
			t.Errorf("%s: got %v, want it rejected as invalid", name, err)
		}
	}
	if n, err := client(t, addr).XLen(soon(t), topic).Result(); n != 0 || err != nil {
		t.Errorf("got %d entries, %v, want none", n, err)
	}
	if _, err := memberFields.Unmarshal(map[string]any{"ticketID": "42", "note": "\xff"}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid of what is not UTF-8", err)
	}
	if _, err := memberFields.Unmarshal(map[string]any{"ticketID": 42}); err == nil {
		t.Error("got nil, want an error of what is no text")
	}
	if msg, err := memberFields.Unmarshal(map[string]any{"ticketID": "42"}); err != nil || msg.UUID == "" {
		t.Errorf("got %v, %v, want a message with an id", msg, err)
	}
}

func TestFieldsThatMeanNothingAreRefused(t *testing.T) {
	good := dataFields
	with := func(change func(*Fields)) Fields { f := good; change(&f); return f }
	for key, fs := range map[string][]Fields{
		"source_id":    {{}, with(func(f *Fields) { f.SourceID = "_watermill_message_uuid" })},
		"source_type":  {with(func(f *Fields) { f.SourceType = "" }), with(func(f *Fields) { f.SourceType = "a/b" })},
		"type":         {with(func(f *Fields) { f.Type = "" }), with(func(f *Fields) { f.Type = f.SourceID })},
		"default_type": {with(func(f *Fields) { f.DefaultType = "\n" })},
		"id":           {with(func(f *Fields) { f.ID = f.Type })},
		"time":         {with(func(f *Fields) { f.Time = "_watermill_message_uuid" })},
		"data":         {with(func(f *Fields) { f.Data = f.Time })},
	} {
		for _, f := range fs {
			var bad *durable.InvalidError
			if err := f.Check(); !errors.As(err, &bad) || bad.Field != key || bad.Remedy == "" {
				t.Errorf("%+v: got %v, want a remedy for %s", f, err, key)
			}
			_, err := Open(soon(t), Config{Connection: Connection{Addr: testenv.Redis(t)}, Marshaller: f})
			if !errors.Is(err, durable.ErrInvalid) {
				t.Errorf("%+v: got %v from Open, want ErrInvalid", f, err)
			}
			s := Settings{ConnectionSettings: ConnectionSettings{Addr: "h:1"}, Fields: f}
			if err := s.Check(); f != (Fields{}) && (!errors.As(err, &bad) || bad.Field != "fields."+key) {
				t.Errorf("%+v: got %v of the settings, want a remedy for fields.%s", f, err, key)
			}
		}
	}
	if err := good.Check(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	cfg, err := Settings{ConnectionSettings: ConnectionSettings{Addr: "h:1"}, Fields: good}.Config(nil)
	if err != nil || cfg.Marshaller != Marshaller(good) {
		t.Errorf("got %v, %v, want the fields of the file", cfg.Marshaller, err)
	}
}

func TestTheFieldsOfAnEntryStandInOneOrder(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: memberFields})
	msg, err := durable.Event{Type: "opened", SourceType: "ticket", SourceID: "42", Data: []byte(`{"c":1,"z":2,"a":3,"m":4}`)}.Message("")
	must(t, err)
	for range 3 {
		_, err = b.Append(soon(t), topic, msg)
		must(t, err)
	}
	reply, err := client(t, addr).Do(soon(t), "XRANGE", topic, "-", "+").Slice()
	must(t, err)
	es, err := parseEntries(any(reply), 1)
	must(t, err)
	for _, e := range es {
		if want := []any{"a", "3", "c", "1", "event", "opened", "m", "4", "ticketID", "42", "z", "2"}; !slices.Equal(e.fields, want) {
			t.Errorf("got %v, want %v", e.fields, want)
		}
	}
}
