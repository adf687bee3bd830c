package durable

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func sampleEvent(source string) Event {
	return Event{
		ID: "id-" + source, Type: "made", SourceType: "thing", SourceID: source, Time: time.Unix(1, 2).UTC(),
		Data: []byte("data"), ContentType: "text/plain", Metadata: map[string]string{"traceparent": "00"},
	}
}

// appended keeps what was appended last.
type appended struct {
	*fake
	topic string
	msgs  []*message.Message
}

func (a *appended) Append(_ context.Context, topic string, msgs ...*message.Message) ([]Position, error) {
	a.topic, a.msgs = topic, msgs
	return make([]Position, len(msgs)), nil
}

func TestABatchMakesTheMessagesThatItsEventsDo(t *testing.T) {
	backend := &appended{fake: newFake(AckEach)}
	p := publisher(t, backend, PublisherOptions{})
	same := func(data []byte, contentType string, at int64, key, app string) bool {
		a, c := sampleEvent("a"), sampleEvent("c")
		a.Data, a.Time = data, time.Unix(0, at)
		if !hasControl(contentType) {
			a.ContentType = contentType
		}
		c.Metadata = map[string]string{"app": app}
		b := NewBatch(1) // grows
		size := 0
		var want []*message.Message
		for _, e := range []Event{a, c, a} {
			msg, err := e.Message(key)
			if err != nil || b.Add(&e, key) != nil {
				t.Logf("refused: %v", err)
				return false
			}
			want = append(want, msg)
			size += Size(msg)
		}
		if _, err := p.AppendBatch(context.Background(), "t", b); err != nil || b.Len() != 3 || b.Bytes() != size {
			t.Logf("got %v, %d messages of %d bytes, want 3 of %d", err, b.Len(), b.Bytes(), size)
			return false
		}
		for i, msg := range backend.msgs {
			if !msg.Equals(want[i]) {
				t.Logf("got %+v, want %+v", msg, want[i])
				return false
			}
		}
		return true
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func TestABatchFillsIdAndTime(t *testing.T) {
	seen := map[string]bool{}
	b := NewBatch(200)
	for range 300 {
		e := Event{Type: "made", SourceType: "thing", SourceID: "a"}
		wantNil(t, "Add", b.Add(&e, ""))
		if len(e.ID) != 36 || e.ID[14] != '7' || seen[e.ID] || e.Time.Location() != time.UTC {
			t.Fatalf("got id %q and time %s", e.ID, e.Time)
		}
		seen[e.ID] = true
	}
}

func TestABatchRefusesABadEventAndGoesOn(t *testing.T) {
	backend := &appended{fake: newFake(AckEach)}
	b := NewBatch(2)
	bad := sampleEvent("")
	if err := b.Add(&bad, ""); !errors.Is(err, ErrInvalid) || b.Len() != 0 || b.Bytes() != 0 {
		t.Errorf("got %v, and %d messages, want ErrInvalid and none", err, b.Len())
	}
	small, large := sampleEvent("a"), sampleEvent("b")
	large.Data = []byte(strings.Repeat("x", 1000))
	wantNil(t, "Add", b.Add(&small, ""))
	wantNil(t, "Add", b.Add(&large, ""))
	if i, size := b.Largest(); i != 1 || size < 1000 {
		t.Errorf("Largest: got %d of %d bytes, want 1 of more than 1000", i, size)
	}
	_, err := publisher(t, backend, PublisherOptions{MaxMessageBytes: 500}).AppendBatch(context.Background(), "t", b)
	var refused *BatchError
	if !errors.Is(err, ErrTooLarge) || !errors.As(err, &refused) || refused.Outcomes[1].Status != Rejected ||
		refused.Outcomes[0].Status != NotSent || backend.msgs != nil {
		t.Errorf("got %v, want the second rejected as too large, and nothing appended", err)
	}
	_, err = publisher(t, backend, PublisherOptions{}).AppendBatch(context.Background(), "bad topic", b)
	wantAll(t, err, ErrInvalid, Rejected, 2)
	_, err = publisher(t, backend, PublisherOptions{MaxInFlight: 1}).AppendBatch(context.Background(), "t", b)
	wantAll(t, err, ErrInvalid, Rejected, 2)
	positions, err := publisher(t, backend, PublisherOptions{}).AppendBatch(context.Background(), "t", NewBatch(0))
	if positions != nil || err != nil {
		t.Errorf("an empty batch: got %v and %v, want nothing", positions, err)
	}
}

func BenchmarkEvents(b *testing.B) {
	e := sampleEvent("a")
	b.Run("Message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Message(""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Batch", func(b *testing.B) {
		b.ReportAllocs()
		batch := NewBatch(100)
		for b.Loop() {
			if batch.Len() == 100 {
				batch = NewBatch(100)
			}
			if err := batch.Add(&e, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}
