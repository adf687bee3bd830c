package realtime

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestParseNotification(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, c := range []struct {
		data string
		want Notification
	}{
		{`{"id":"1"}`, Notification{ID: "1"}},
		{
			`{"id":"1","type":"t","source_type":"s","source_id":"i","topic":"o","position":"p","traceparent":"r"}`,
			Notification{ID: "1", Type: "t", SourceType: "s", SourceID: "i", Topic: "o", Position: "p", TraceParent: "r"},
		},
		{" {\n\"id\" : \"1\" } ", Notification{ID: "1"}},
		{`{"id":"\u00e9\n"}`, Notification{ID: "é\n"}},
		{`{"id":"1","time":"2026-01-02T03:04:05.000000006Z"}`, Notification{ID: "1", Time: at}},
		{`{"id":"1","time":"2026-01-02T05:04:05.000000006+02:00"}`, Notification{ID: "1", Time: at}},
		{`{"id":"1","time":"","later":"x"}`, Notification{ID: "1"}},
		{`{"later":{"id":"2"},"more":[1,2],"id":"1","flag":true}`, Notification{ID: "1"}},
		{`{"id":"1","type":null}`, Notification{ID: "1"}},
		{`{"id":"1","ID":"2","Type":"t"}`, Notification{ID: "1"}},
		{`{"id":"1","channel":"other"}`, Notification{ID: "1"}},
	} {
		c.want.Channel = "c"
		if got, err := ParseNotification("c", []byte(c.data)); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.data, got, err, c.want)
		}
	}
}

func TestParseNotificationRefuses(t *testing.T) {
	for _, data := range []string{
		``, `x`, `null`, `1`, `"1"`, `[]`, `{`, `{"id"}`, `{"id":}`, `{"id":"1"`, `{"id":"1",}`, `{"id":"1"}{}`, `{"id":"1"}x`,
		`{"id":1}`, `{"id":"1","type":2}`, `{"id":"1","time":"yesterday"}`, `{"id":"1","time":7}`, "{\"id\":\"a\nb\"}",
	} {
		if got, err := ParseNotification("c", []byte(data)); err == nil || got != (Notification{}) {
			t.Errorf("%s: got %+v, %v, want an error and nothing else", data, got, err)
		}
	}
	for _, data := range []string{`{}`, `{"id":""}`, `{"id":null}`, `{"ID":"1"}`} {
		if _, err := ParseNotification("c", []byte(data)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", data, err)
		}
	}
}

func TestWhatIsParsedDoesNotKeepTheData(t *testing.T) {
	data := []byte(`{"id":"1"}`)
	n, err := ParseNotification("c", data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if n.ID != "1" {
		t.Errorf("got %q", n.ID)
	}
}

// FuzzParseNotification compares with what encoding/json makes of the same bytes.
func FuzzParseNotification(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"id":"1"}`, `{"id":"1","type":null,"x":[{}]}`, `{"id":"\ud800"}`, "{\"id\":\"\xff\"}", `{"id":"1","id":"2"}`,
		`{"id":"1","time":"2026-01-02T03:04:05+02:00"}`, `{"id":"1","time":"x","time":""}`, ` {"id" : "1"}`, `{"id":"1"},`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseNotification("c", data)
		want, ok := referenceParse(data)
		if (err == nil) != ok {
			t.Fatalf("%q: got %v, the reference accepts it: %v", data, err, ok)
		}
		if ok && got != want {
			t.Fatalf("%q: got %+v, want %+v", data, got, want)
		}
	})
}

// referenceParse is the contract of ParseNotification with encoding/json alone.
func referenceParse(data []byte) (Notification, bool) {
	var values map[string]any
	if json.Unmarshal(data, &values) != nil {
		return Notification{}, false
	}
	n := Notification{Channel: "c"}
	for name, at := range map[string]*string{
		"id": &n.ID, "type": &n.Type, "source_type": &n.SourceType, "source_id": &n.SourceID,
		"topic": &n.Topic, "position": &n.Position, "traceparent": &n.TraceParent, "time": new(string),
	} {
		value := values[name]
		if value == nil {
			continue
		}
		s, ok := value.(string)
		if !ok {
			return Notification{}, false
		}
		*at = s
		if name == "time" && s != "" {
			parsed, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				return Notification{}, false
			}
			n.Time = parsed.UTC()
		}
	}
	return n, n.ID != ""
}
