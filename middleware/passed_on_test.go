package middleware_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// passingOn hands the event on to topic as it is, as handlers of pipelines do.
func passingOn(t *testing.T, b durable.Backend, topic string) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		appendAll(t, b, topic, msg.Copy())
		return nil, nil
	}
}

func TestARedrivenEventThatIsPassedOnIsForAllGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		poisoned(t, b, 1)
		if _, err := (middleware.Redrive{Backend: b, Topic: "orders.poison"}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := process(b, "billing", poisoning(b).Middleware(passingOn(t, b, "invoices")), "orders")
		var seen log[string]
		note := func(msg *message.Message) ([]*message.Message, error) { seen.add(msg.UUID); return nil, nil }
		withPoison := process(b, "mails", poisoning(b).Middleware(note), "invoices")
		without := process(b, "prints", middleware.Redriven{}.Middleware(note), "invoices")
		other := process(b, "other", poisoning(b).Middleware(func(msg *message.Message) ([]*message.Message, error) {
			if msg.Metadata[middleware.MetaRedriveGroup] != "" {
				t.Error("another group was given an event redriven in its own topic")
			}
			return nil, nil
		}), "orders")
		time.Sleep(time.Minute)
		for _, p := range []*processing{first, withPoison, without, other} {
			p.end(t)
		}
		if got := seen.list(); !slices.Equal(got, []string{"0", "0"}) {
			t.Errorf("the groups of the second topic handled %v, want the event each", got)
		}
	})
}

func TestAnEventOfATierThatIsPassedOnBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"))
		tiers := tiersOf(b)
		next := passingOn(t, b, "invoices")
		first := process(b, "billing", tiers.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			if msg.Metadata[middleware.MetaTierLevel] == "" {
				return nil, errHandler
			}
			return next(msg)
		}), append([]string{"orders"}, tiers.Topics("orders")...)...)
		var runs log[string]
		second := tiersOf(b)
		other := process(b, "mails", poisoning(b).Middleware(second.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			d, _ := durable.DeliveryOf(msg.Context())
			runs.add(d.Topic)
			return nil, errHandler
		})), append([]string{"invoices"}, second.Topics("invoices")...)...)
		time.Sleep(time.Hour)
		first.end(t)
		other.end(t)
		want := []string{"invoices", "invoices.retry.5s", "invoices.retry.1m", "invoices.retry.10m"}
		if got := runs.list(); !slices.Equal(got, want) {
			t.Errorf("the group of the second topic handled %v, want %v", got, want)
		}
		records := replayed(t, b, "invoices.poison")
		if len(records) != 1 || records[0].Message.Metadata[middleware.MetaPoisonAttempts] != "4" {
			t.Errorf("got %v in the poison topic of the second topic, want the event after 4 attempts", records)
		}
	})
}
