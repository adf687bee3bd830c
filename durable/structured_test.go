package durable

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestBothEncodingsAreOneEvent(t *testing.T) {
	for name, e := range map[string]Event{
		"JSON":   {Data: []byte(`{"n":1,"html":"<&>"}`), ContentType: "application/json"},
		"none":   {Data: []byte(`[1]`)},
		"text":   {Data: []byte("plain"), ContentType: "text/plain"},
		"bytes":  {Data: []byte{0, 0xff, '"'}, ContentType: "application/octet-stream"},
		"broken": {Data: []byte(`{"n":`), ContentType: "application/json"},
		"empty":  {},
	} {
		e.ID, e.Type, e.SourceType, e.SourceID, e.Time = "id", "order.created", "order", "a/b", time.Unix(1, 2).UTC()
		e.Metadata = map[string]string{"app": "1", "Tenant_Id": "2"}
		msg, err := e.Message("key")
		wantNil(t, name, err)
		s, err := Structured(msg)
		wantNil(t, name, err)
		if !json.Valid(s.Payload) || s.Metadata[MetaContentType] != ContentTypeStructured || Key(s) != "key" || s.Metadata[MetaID] != "id" || s.Metadata[MetaType] != "order.created" {
			t.Errorf("%s: got payload %s and metadata %v", name, s.Payload, s.Metadata)
		}
		got, err := EventOf(s)
		wantNil(t, name, err)
		if got.ID != e.ID || got.Type != e.Type || got.SourceType != e.SourceType || got.SourceID != e.SourceID || !got.Time.Equal(e.Time) ||
			string(got.Data) != string(e.Data) || got.ContentType != e.ContentType || !maps.Equal(got.Metadata, e.Metadata) {
			t.Errorf("%s: got %+v, want %+v", name, got, e)
		}
		if again, err := Structured(s); again != s || err != nil {
			t.Errorf("%s: twice: got %v, %v", name, again, err)
		}
	}
}

func TestAStructuredEventOfOthersIsRead(t *testing.T) {
	msg := message.NewMessage("u", []byte(`{"specversion":"1.0","id":"1","type":"t","source":"/s","subject":"x",
		"datacontenttype":"text/plain","data":"hello","traceparent":"00-1","sampled":true}`))
	msg.Metadata[MetaContentType] = ContentTypeStructured + "; charset=UTF-8"
	e, err := EventOf(msg)
	wantNil(t, "EventOf", err)
	if string(e.Data) != "hello" || e.Metadata["traceparent"] != "00-1" || len(e.Metadata) != 1 || e.SourceID != "x" {
		t.Errorf("got %+v", e)
	}
	for _, bad := range []string{"", "{", "[]", `{"id":7}`, `{"id":""}`} {
		msg.Payload = []byte(bad)
		if _, err := EventOf(msg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", bad, err)
		}
	}
}

func TestAttributesAreThoseOfTheDocumentWhereThereAreNoOthers(t *testing.T) {
	msg := message.NewMessage("u", []byte(`{"specversion":"1.0","id":"1","type":"t","source":"https://shop","subject":"x","data":{}}`))
	msg.Metadata[MetaContentType], msg.Metadata["app"] = ContentTypeStructured, "7"
	m := Attributes(msg)
	if m[MetaID] != "1" || m[MetaType] != "t" || m[MetaSource] != "https://shop" || m[MetaSubject] != "x" || m["app"] != "7" {
		t.Errorf("got %v", m)
	}
	if len(msg.Metadata) != 2 {
		t.Errorf("the message was changed: %v", msg.Metadata)
	}
	msg.Payload = []byte("{")
	if m := Attributes(msg); m["app"] != "7" || m[MetaID] != "" {
		t.Errorf("no document: got %v, want the message's own", m)
	}
	own, err := Event{ID: "2", Type: "t", SourceType: "s", SourceID: "1"}.Message("")
	wantNil(t, "Message", err)
	if n := testing.AllocsPerRun(10, func() { m = Attributes(own) }); n != 0 || m[MetaID] != "2" {
		t.Errorf("binary: got %v, %v allocations, want the message's own and none", m, n)
	}
}

func TestABatchWithWhatIsNoEventIsNotStructured(t *testing.T) {
	good, err := Event{Type: "t", SourceType: "s", SourceID: "1"}.Message("")
	wantNil(t, "Message", err)
	out, err := AllStructured("t", []*message.Message{good, good})
	if err != nil || len(out) != 2 || !isStructured(out[1].Metadata) {
		t.Errorf("got %v, %v", out, err)
	}
	for _, bad := range []*message.Message{nil, message.NewMessage("1", nil)} {
		_, err := AllStructured("t", []*message.Message{good, bad})
		var b *BatchError
		if !errors.As(err, &b) || b.Outcomes[0].Status != NotSent || b.Outcomes[1].Status != Rejected {
			t.Errorf("got %v, want the second one rejected", err)
		}
	}
}
