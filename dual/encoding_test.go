package dual_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// publishedIn opens text with encoding and a topic of its own, and publishes an order in it.
func publishedIn(t *testing.T, text, topic, encoding, id string) *dual.Stack {
	t.Helper()
	cfg, err := dual.Parse("f.yaml", []byte(text+"publish: { topic: "+topic+", encoding: "+encoding+" }\ntopics: { "+topic+": { partitions: 1 } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := dual.Open(t.Context(), cfg, adapters.All())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	_, err = s.Publisher.Publish(t.Context(), durable.Event{
		ID: id, Type: "order.created", SourceType: "order", SourceID: "42", Data: []byte(`{"total": 99}`),
		ContentType: "application/json", Metadata: map[string]string{"traceparent": "00-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cloudEvent fails unless payload is the document of the order, by the names of the specification.
func cloudEvent(t *testing.T, payload []byte, id string) {
	t.Helper()
	var doc struct {
		SpecVersion     string             `json:"specversion"`
		ID              string             `json:"id"`
		Type            string             `json:"type"`
		Source          string             `json:"source"`
		Subject         string             `json:"subject"`
		DataContentType string             `json:"datacontenttype"`
		Data            map[string]float64 `json:"data"`
	}
	if err := json.Unmarshal(payload, &doc); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	if doc.SpecVersion != "1.0" || doc.ID != id || doc.Type != "order.created" || doc.Source != "/order" || doc.Subject != "42" ||
		doc.DataContentType != "application/json" || doc.Data["total"] != 99 {
		t.Errorf("got the document %s", payload)
	}
}

// readBoth fails unless the reader of s sees the events of ids, whatever their encoding is, and their types as metadata.
func readBoth(t *testing.T, s *dual.Stack, ids ...string) {
	t.Helper()
	var got []string
	for r, err := range s.Durable.Replay(t.Context(), s.Topic(), durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := durable.EventOf(r.Message)
		if err != nil || e.Type != "order.created" || e.SourceType != "order" || e.SourceID != "42" || e.ContentType != "application/json" ||
			e.Metadata["traceparent"] != "00-1" || r.Key != "42" || r.Message.Metadata.Get(durable.MetaType) != e.Type {
			t.Errorf("got %+v, %v of key %q", e, err, r.Key)
		}
		var data map[string]float64
		if err := json.Unmarshal(e.Data, &data); err != nil || data["total"] != 99 {
			t.Errorf("got the data %s", e.Data)
		}
		got = append(got, e.ID)
	}
	if strings.Join(got, " ") != strings.Join(ids, " ") {
		t.Errorf("got the events %v, want %v", got, ids)
	}
}

func TestTheEncodingOfTheFileIsStored(t *testing.T) {
	addr := testenv.Redis(t)
	raw := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = raw.Close() })
	for name, text := range map[string]string{
		"memory": memoryLine,
		"redis":  "durable: { backend: redisstream, redisstream: { addr: '" + addr + "' } }\n",
		"kafka":  "durable: { backend: kafka, kafka: { brokers: '" + strings.Join(testenv.Kafka(t), ",") + "' } }\n",
	} {
		t.Run(name, func(t *testing.T) {
			topic := testenv.Name(t, "encoding")
			s := publishedIn(t, text, topic, "structured", "1")
			for r, err := range s.Durable.Replay(t.Context(), topic, durable.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				cloudEvent(t, r.Message.Payload, "1")
				if got := r.Message.Metadata.Get(durable.MetaContentType); got != durable.ContentTypeStructured {
					t.Errorf("got the content type %q", got)
				}
			}
			if name == "redis" {
				entries, err := raw.XRange(t.Context(), topic, "-", "+").Result()
				if err != nil || len(entries) != 1 {
					t.Fatalf("got %v, %v, want one entry", entries, err)
				}
				payload, _ := entries[0].Values["payload"].(string)
				cloudEvent(t, []byte(payload), "1")
			}
			if name == "memory" {
				readBoth(t, s, "1")
				return
			}
			readBoth(t, publishedIn(t, text, topic, "binary", "2"), "1", "2")
		})
	}
}

func TestTheSizeOfAStructuredEventIsThatOfItsDocument(t *testing.T) {
	b := memoryStream(t)
	p, err := dual.New(b, nil, dual.Options{
		Encoding: dual.EncodingStructured, Publisher: durable.PublisherOptions{MaxMessageBytes: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	fits := durable.Event{Type: "t", SourceType: "s", SourceID: "1", Data: make([]byte, 100)}
	large := fits
	large.Data, large.ContentType = make([]byte, 700), "application/octet-stream" // in base64 it is over the bound
	if _, err := p.Publish(t.Context(), fits); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if _, err := p.Publish(t.Context(), fits, large); !errors.Is(err, durable.ErrTooLarge) || !strings.Contains(err.Error(), "event 1") {
		t.Errorf("got %v, want ErrTooLarge of event 1", err)
	}
}

func TestAnEncodingThatDoesNotExistIsRefused(t *testing.T) {
	if _, err := dual.New(memoryStream(t), nil, dual.Options{Encoding: "xml"}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	_, err := dual.Parse("f.yaml", []byte(memoryLine+"publish:\n  encoding: xml\n"))
	var bad *dual.ConfigError
	if !errors.As(err, &bad) || bad.Path != "publish.encoding" || bad.Line == 0 || bad.Remedy == "" {
		t.Errorf("got %v, want a remedy for publish.encoding", err)
	}
}
