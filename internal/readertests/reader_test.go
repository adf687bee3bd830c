package readertests

import (
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestTopicsAreAddedToAndRemovedFromARunningReader(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		a, b := s.topic(t, 2), s.topic(t, 1)
		s.put(t, a, "a1", "a2")
		s.put(t, b, "b1")
		r := s.reader(t, durable.ReaderOptions{Topics: durable.Topics(a)})
		sub := subscribe(t, r, durable.SubscribeOptions{})
		sees(t, sub, "a1", "a2")
		must(t, r.AddTopics(soon(t), durable.TopicStart{Topic: b}))
		sees(t, sub, "b1")
		s.put(t, a, "a3")
		sees(t, sub, "a3")
		must(t, r.RemoveTopics(soon(t), a))
		s.put(t, a, "a4")
		s.put(t, b, "b2")
		sees(t, sub, "b2")
		must(t, r.AddTopics(soon(t), durable.TopicStart{Topic: a, Start: durable.Newest()}))
		s.put(t, a, "a5")
		sees(t, sub, "a5")
	})
}

func TestOneReaderReadsSeveralTopicsInOrder(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topics := []string{s.topic(t, 1), s.topic(t, 1), s.topic(t, 1)}
		for _, topic := range topics {
			s.put(t, topic, "x1", "x2", "x3")
		}
		sub := subscribe(t, s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topics...)}), durable.SubscribeOptions{})
		last := map[string]string{}
		for range 9 {
			rec, err := sub.Next(soon(t))
			must(t, err)
			if id := rec.Message.UUID; id <= last[rec.Topic] {
				t.Errorf("%s: got %s after %s", rec.Topic, id, last[rec.Topic])
			}
			last[rec.Topic] = rec.Message.UUID
		}
		for _, topic := range topics {
			if last[topic] != "x3" {
				t.Errorf("%s: got %q last, want all three of each", topic, last[topic])
			}
		}
	})
}

func TestSubscriptionsOfAReaderComeAndGoAndEachSeesEverything(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topic := s.topic(t, 3)
		s.put(t, topic, "x1")
		r := s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic)})
		first, second := subscribe(t, r, durable.SubscribeOptions{}), subscribe(t, r, durable.SubscribeOptions{})
		sees(t, first, "x1")
		s.put(t, topic, "x2", "x3")
		sees(t, first, "x2", "x3")
		for range 3 { // the second may have come after x1
			rec, err := second.Next(soon(t))
			must(t, err)
			if rec.Message.UUID != "x1" {
				sees(t, second, map[string]string{"x2": "x3", "x3": "x2"}[rec.Message.UUID])
				break
			}
		}
		must(t, first.Close())
		third := subscribe(t, r, durable.SubscribeOptions{})
		s.put(t, topic, "x4", "x5")
		sees(t, second, "x4", "x5")
		sees(t, third, "x4", "x5")
		if _, err := first.Next(soon(t)); !errors.Is(err, durable.ErrClosed) {
			t.Errorf("a subscription that was closed: got %v, want ErrClosed", err)
		}
	})
}

func TestReadersAreBesideGroups(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topic := s.topic(t, 1)
		s.put(t, topic, "x1", "x2")
		one := subscribe(t, s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic)}), durable.SubscribeOptions{})
		other := subscribe(t, s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic)}), durable.SubscribeOptions{})
		sees(t, one, "x1", "x2")
		same(t, s.fetch(t, durable.Group{Name: "g", Topics: durable.Topics(topic)}, 2), []string{"x1", "x2"})
		sees(t, other, "x1", "x2")
	})
}

func TestSubscriptionsSelectByTypePatternOrFunction(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		topic := s.topic(t, 2)
		r := s.reader(t, durable.ReaderOptions{Topics: durable.Topics(topic)})
		of := func(f *middleware.Filter) *durable.Subscription {
			return subscribe(t, r, durable.SubscribeOptions{Select: f.Passes})
		}
		exact := of(&middleware.Filter{Types: []string{"order.created"}})
		pattern := of(&middleware.Filter{Patterns: []string{"order.*"}})
		function := of(&middleware.Filter{Match: func(m *message.Message) bool { return string(m.Payload) == "user.created2" }})
		all := subscribe(t, r, durable.SubscribeOptions{})
		for range 2 { // the second time tells that nothing else came
			s.put(t, topic, "order.created1", "user.created2", "order.paid3")
			sees(t, exact, "order.created1")
			sees(t, pattern, "order.created1", "order.paid3")
			sees(t, function, "user.created2")
			sees(t, all, "order.created1", "user.created2", "order.paid3")
		}
	})
}
