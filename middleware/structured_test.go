package middleware_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// foreign is a structured event as other producers write it: the document holds the attributes, and nothing else does.
func foreign(id, kind string) *message.Message {
	msg := message.NewMessage(durable.NewID(), fmt.Appendf(nil,
		`{"specversion":"1.0","id":%q,"type":%q,"source":"https://shop.example","subject":"42","data":{"n":1}}`, id, kind))
	msg.Metadata[durable.MetaContentType] = durable.ContentTypeStructured
	return msg
}

func TestStructuredEventsOfOthersAreKnownByTheirAttributesOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic, topic+".poison")
		appendAll(t, b, topic, foreign("1", "order.paid"), foreign("1", "order.paid"), foreign("2", "order.created"), foreign("3", "order.paid"))
		filter, dedupe := &middleware.Filter{Types: []string{"order.paid"}}, &middleware.Dedupe{}
		var seen log[string]
		h, err := middleware.Stack{Filter: filter, Poison: poisoning(b), Dedupe: dedupe, Recover: &middleware.Recover{Logger: silent}}.Chain()
		if err != nil {
			t.Fatal(err)
		}
		run := process(b, testenv.Name(t, "g"), h.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			e, err := durable.EventOf(msg)
			if e.ID == "3" {
				return nil, middleware.Permanent(errHandler)
			}
			seen.add(e.ID)
			_ = err // the source is a URL, which is none of ours
			return nil, nil
		}), topic)
		testenv.Await(t, time.Minute, func() bool {
			return filter.Filtered() == 1 && dedupe.Stats().Duplicates == 1 && len(replayed(t, b, topic+".poison")) == 1
		}, "one is filtered, one a duplicate, one poisoned")
		run.end(t)
		if got := seen.list(); len(got) != 1 || got[0] != "1" {
			t.Errorf("handled %v, want 1 once", got)
		}
		r := middleware.Redrive{Backend: b, Topic: topic + ".poison", Select: middleware.Selection{IDs: []string{"3"}, Types: []string{"order.paid"}}}
		if report, err := r.Run(t.Context()); err != nil || report.Moved != 1 {
			t.Errorf("redrive by id and type: got %+v, %v, want it moved", report, err)
		}
	})
}

func TestStructuredEventsOfOthersAreLoggedByTheirAttributes(t *testing.T) {
	var out strings.Builder
	h := middleware.Logging{Logger: slog.New(slog.NewTextHandler(&out, nil)), Success: slog.LevelInfo}.Middleware(
		func(*message.Message) ([]*message.Message, error) { return nil, nil })
	if _, err := h(foreign("7", "order.paid")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "event=7 type=order.paid") {
		t.Errorf("got %s, want the id and the type of the event", got)
	}
}

func TestAStructuredEventOfOthersThatIsTooLargeIsFoundByItsAttributes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, small := newMemory(t, memory.Config{}), newMemory(t, memory.Config{MaxMessageBytes: 1200})
		msg := foreign("1", "order.paid")
		msg.Payload = append(msg.Payload, strings.Repeat(" ", 5000)...)
		appendAll(t, b, "orders", msg)
		run := process(b, "g", poisoning(small).Middleware(failing(middleware.Permanent(errHandler))), "orders")
		time.Sleep(time.Minute)
		run.end(t)
		n := 0
		for p, err := range (middleware.Redrive{Backend: small, Topic: "orders.poison"}).List(t.Context()) {
			if n++; err != nil || p.ID != "1" || p.Type != "order.paid" || p.Cut != "payload" {
				t.Errorf("got id %q, type %q, cut %q, %v", p.ID, p.Type, p.Cut, err)
			}
		}
		if n != 1 {
			t.Errorf("%d are listed, want 1", n)
		}
	})
}
