package adapters_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// theirs is the value of a record that a client on sarama alone writes.
const theirs = "\xff\x00 plain"

// A file says whether records without headers are messages; else the policies of the file put them aside as they are.
func TestAFileTakesPlainRecordsOrPutsThemIntoThePoisonQueue(t *testing.T) {
	for set, want := range map[string]struct{ handled, poisoned int }{
		"":                       {1, 1},
		", plain_records: false": {1, 1},
		", plain_records: true":  {2, 0},
	} {
		brokers, topic, group := testenv.Kafka(t), testenv.Name(t, "t"), testenv.Name(t, "g")
		s := opened(t, "durable: { backend: kafka, kafka: { brokers: ['"+brokers[0]+"']"+set+" } }\n"+
			"topics: { "+topic+": { partitions: 1 }, "+topic+".poison: { partitions: 1 } }\n"+
			"publish: { topic: "+topic+" }\nretry: { initial: 1ms }\npoison: {}\ndedupe: { store: memory }\n")
		writePlain(t, brokers, topic)
		if _, err := s.Publisher.Publish(t.Context(), durable.Event{Type: "made", SourceType: "thing", SourceID: "1", Data: []byte("ours")}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var handled []string
		monitor, ended := new(durable.Monitor), make(chan error, 1)
		o := s.ProcessOf(s.Group(group))
		o.Monitor = monitor
		h := s.Handler(group, func(msg *message.Message) ([]*message.Message, error) {
			mu.Lock()
			defer mu.Unlock()
			handled = append(handled, string(msg.Payload))
			return nil, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- durable.Process(ctx, s.Durable, s.Group(group), h, o) }()
		testenv.Await(t, time.Minute, func() bool { return monitor.Stats().Total().Acked >= 2 }, "both are acknowledged")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		poisoned := 0
		for r, err := range s.Durable.Replay(t.Context(), topic+".poison", durable.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			if poisoned++; string(r.Message.Payload) != theirs || r.Message.Metadata[middleware.MetaPoisonClass] != middleware.ReasonUndecodable {
				t.Errorf("%q: poisoned %q, %v", set, r.Message.Payload, r.Message.Metadata)
			}
		}
		if len(handled) != want.handled || poisoned != want.poisoned {
			t.Errorf("%q: handled %q and poisoned %d, want %+v", set, handled, poisoned, want)
		}
	}
}

func writePlain(t *testing.T, brokers []string, topic string) {
	t.Helper()
	cfg := sarama.NewConfig()
	cfg.Version, cfg.Producer.Return.Successes = sarama.V2_8_0_0, true
	p, err := sarama.NewSyncProducer(brokers, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(theirs)}); err != nil {
		t.Fatal(err)
	}
}
