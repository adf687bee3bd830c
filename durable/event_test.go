package durable

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func valid() Event { return Event{Type: "order.created", SourceType: "order", SourceID: "42"} }

func TestAnEventBecomesACloudEventInBinaryMode(t *testing.T) {
	e := valid()
	e.ID, e.ContentType, e.Data = "id-1", "application/json", []byte("{}")
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))
	e.Metadata = map[string]string{"traceparent": "00-1"}
	msg, err := e.Message("")
	wantNil(t, "Message", err)
	want := message.Metadata{
		"ce_specversion": "1.0", "ce_id": "id-1", "ce_type": "order.created", "ce_source": "/order", "ce_subject": "42",
		"ce_time": "2026-01-02T02:04:05.000000006Z", "ce_partitionkey": "42", "content-type": "application/json",
		"traceparent": "00-1",
	}
	if !maps.Equal(msg.Metadata, want) || msg.UUID != "id-1" {
		t.Errorf("got %q %v, want %v", msg.UUID, msg.Metadata, want)
	}
	msg, err = e.Message("other")
	wantNil(t, "Message with a key", err)
	if Key(msg) != "other" {
		t.Errorf("key %q, want other", Key(msg))
	}
}

func TestAnEventNamesItsFirstBadField(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Event)
		field  string
	}{
		"control in id":        {func(e *Event) { e.ID = "a\n" }, "ID"},
		"no type":              {func(e *Event) { e.Type = "" }, "Type"},
		"type not utf-8":       {func(e *Event) { e.Type = "\xff" }, "Type"},
		"no source type":       {func(e *Event) { e.SourceType = "" }, "SourceType"},
		"slash in source type": {func(e *Event) { e.SourceType = "a/b" }, "SourceType"},
		"no source":            {func(e *Event) { e.SourceID = "" }, "SourceID"},
		"control in source":    {func(e *Event) { e.SourceID = "a\x00b" }, "SourceID"},
		"delete in source":     {func(e *Event) { e.SourceID = "a\x7f" }, "SourceID"},
		"long source":          {func(e *Event) { e.SourceID = strings.Repeat("a", MaxSourceID+1) }, "SourceID"},
		"content type":         {func(e *Event) { e.ContentType = "a\r\nb" }, "ContentType"},
		"reserved prefix":      {func(e *Event) { e.Metadata = map[string]string{"ce_x": ""} }, "metadata key"},
		"reserved uuid":        {func(e *Event) { e.Metadata = map[string]string{MetaUUID: ""} }, "metadata key"},
		"empty key":            {func(e *Event) { e.Metadata = map[string]string{"": ""} }, "metadata key"},
		"year five digits":     {func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "Time"},
	} {
		e := valid()
		c.change(&e)
		_, err := e.Message("")
		var invalid *InvalidError
		if !errors.As(err, &invalid) || invalid.Field != c.field {
			t.Errorf("%s: got %v, want the field %s", name, err, c.field)
		}
	}
	for _, id := range []string{"octocat", "owner/repo", "a:b", "a*[1]", "é", strings.Repeat("a", MaxSourceID)} {
		e := valid()
		e.SourceID = id
		wantNil(t, id, e.Validate())
	}
}

func TestForeignMessagesAreNoEvents(t *testing.T) {
	for name, meta := range map[string]message.Metadata{
		"none":     nil,
		"bad time": {MetaID: "1", MetaType: "t", MetaSource: "/s", MetaSubject: "1", MetaTime: "yesterday"},
		"no type":  {MetaID: "1", MetaSource: "/s", MetaSubject: "1"},
	} {
		msg := message.NewMessage("1", nil)
		msg.Metadata = meta
		if _, err := EventOf(msg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestNewIDIsAUUIDOfVersion7InTimeOrder(t *testing.T) {
	before := time.Now().UnixMilli()
	id := NewID()
	if len(id) != 36 || id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) || id == NewID() {
		t.Errorf("not a UUIDv7: %q", id)
	}
	var ms int64
	for _, c := range strings.ReplaceAll(id[:13], "-", "") {
		ms = ms<<4 | int64(strings.IndexRune("0123456789abcdef", c))
	}
	if ms < before || ms > time.Now().UnixMilli() {
		t.Errorf("time of %q: %d ms, want about %d", id, ms, before)
	}
}

func FuzzEventRoundTrip(f *testing.F) {
	f.Add("id", "type", "source", "42", int64(1), []byte("data"), "text/plain", "k", "v")
	f.Add("", "t", "s", "a*[1]", int64(-1), []byte(nil), "", "traceparent", "")
	f.Add("id", "t", "/s", "owner/repo", int64(1<<62), []byte{0}, "", "ce_id", "x")
	f.Fuzz(func(t *testing.T, id, typ, source, sid string, ns int64, data []byte, ct, k, v string) {
		e := Event{
			ID: id, Type: typ, SourceType: source, SourceID: sid, Time: time.Unix(0, ns).UTC(), Data: data,
			ContentType: ct, Metadata: map[string]string{k: v},
		}
		msg, err := e.Message("")
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			return
		}
		wantNil(t, "CheckMessage", CheckMessage(msg))
		got, err := EventOf(msg)
		wantNil(t, "EventOf", err)
		if id != "" && got.ID != id || got.ID == "" || got.Type != typ || got.SourceType != source ||
			got.SourceID != sid || !got.Time.Equal(e.Time) || !bytes.Equal(got.Data, data) ||
			got.ContentType != ct || !maps.Equal(got.Metadata, e.Metadata) {
			t.Fatalf("got %+v, want %+v", got, e)
		}
	})
}
