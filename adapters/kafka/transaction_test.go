package kafka

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestTheRecordsOfAnOpenTransactionWaitForItsEnd(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	topic := newTopic(t, b, 1)
	p := transacting(t, b, topic)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	send := func(commit bool, values ...string) {
		if err := p.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if _, _, err := p.SendMessage(record(topic, v)); err != nil {
				t.Fatal(err)
			}
		}
		end := p.AbortTxn
		if commit {
			end = p.CommitTxn
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	send(true, "a", "b")
	send(false, "never")
	send(true, "c")
	var got []string
	for _, d := range fetch(t, c, 3) {
		got = append(got, string(d.Message.Payload))
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %v, want what was committed", got)
	}
	if err := p.BeginTxn(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SendMessage(record(topic, "open")); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, topic, events(1, oneKey)...)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if ds, err := c.Fetch(short, 1); err == nil {
		t.Errorf("got %q while the transaction was open", ds[0].Message.Payload)
	}
	if err := p.CommitTxn(); err != nil {
		t.Fatal(err)
	}
	if d := fetch(t, c, 2)[0]; string(d.Message.Payload) != "open" {
		t.Errorf("got %q, want what was open", d.Message.Payload)
	}
}

func TestATransactionThatIsNeverEndedDelaysItsPartitionUntilItsTimeoutOnly(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	topic := newTopic(t, b, 1)
	conf := Config{}.filled().producer()
	conf.Producer.Transaction.ID, conf.Producer.Transaction.Timeout = topic, 5*time.Second // it is begun and sent to within that
	p, err := sarama.NewSyncProducer(b.cfg.Brokers, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	if err := p.BeginTxn(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SendMessage(record(topic, "never")); err != nil {
		t.Fatal(err)
	}
	msg := events(1, oneKey)[0]
	mustAppend(t, b, topic, msg)
	if got := fetch(t, c, 1)[0].Message; got.UUID != msg.UUID {
		t.Errorf("got %q, want what was stored behind the transaction", got.Payload)
	}
}
