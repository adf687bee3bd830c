package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// appendsToAFrozenBroker have an unknown outcome in bounded time.
func appendsToAFrozenBroker(t *testing.T, k *testenv.KafkaCluster) {
	b := openOn(t, Config{Brokers: k.Brokers(), AppendTimeout: time.Second})
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(1, oneKey)...)
	k.Node(1).Freeze()
	defer k.Node(1).Thaw()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for i, want := range []durable.Status{durable.Unknown, durable.NotSent} { // what comes later waits for the first
		err := failing(t, b, topic, 1+19*i)
		var batch *durable.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) || ctx.Err() != nil {
			t.Fatalf("got %v, want a BatchError with ErrUnavailable", err)
		}
		for i, o := range batch.Outcomes {
			if o.Status != want {
				t.Errorf("message %d: got %v, want %v", i, o.Status, want)
			}
		}
	}
	other, err := Open(ctx, Config{Brokers: k.Brokers(), AppendTimeout: time.Second, OpenTimeout: time.Second})
	if !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("open: got %v, %v, want ErrUnavailable", other, err)
	}
	k.Node(1).Thaw()
	testenv.Await(t, soon, func() bool {
		_, err := b.Append(ctx, topic, events(1, oneKey)...)
		return err == nil
	}, "appends work again")
}

// failing is the error of the first append of n messages that fails; a broker may answer once more while it freezes.
func failing(t *testing.T, b *Backend, topic string, n int) (err error) {
	t.Helper()
	testenv.Await(t, soon, func() bool {
		_, err = b.Append(t.Context(), topic, events(n, oneKey)...)
		return err != nil
	}, "an append to a frozen broker fails")
	return err
}

func TestCloseIsBoundedByItsContextWhileTheBrokerIsFrozen(t *testing.T) {
	k := testenv.StartKafka(t, testenv.KafkaOptions{})
	others := goleak.IgnoreCurrent()
	b, err := Open(t.Context(), Config{Brokers: k.Brokers(), AppendTimeout: time.Second, RebalanceTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(5, oneKey)...)
	fetch(t, join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}), 5)
	k.Node(1).Freeze()
	defer k.Node(1).Thaw()
	_ = failing(t, b, topic, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if err := goleak.Find(others); err != nil { // though the broker is still frozen
		t.Error(err)
	}
}

func TestAFrozenOrKilledBroker(t *testing.T) {
	t.Parallel()
	k := testenv.StartKafka(t, testenv.KafkaOptions{})
	for name, test := range map[string]func(*testing.T, *testenv.KafkaCluster){
		"appends are unknown in bounded time":                  appendsToAFrozenBroker,
		"what was acknowledged survives":                       acknowledgedBeforeAKill,
		"members lose nothing and keep the order":              membersUnderFaults,
		"a following replay goes on":                           replayPastAKill,
		"every caller of Close waits no longer than it wanted": callersOfClose,
		"Consume ends when its backend closes":                 consumeWhileClosing,
	} {
		t.Run(name, func(t *testing.T) { test(t, k) })
	}
}

func TestACancelledAppendEndsNoOther(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	cancelled, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Append(t.Context(), topic, events(1000, oneKey)...)
		done <- err
	}()
	cancel()
	_, err := b.Append(cancelled, topic, events(1000, oneKey)...)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the other append: %v", err)
	}
}

func TestATooLargeMessageIsRejectedAndNothingIsSent(t *testing.T) {
	b := opened(t)
	topic := newTopic(t, b, 1)
	msgs := events(3, oneKey)
	msgs[1].Payload = bytes.Repeat([]byte("x"), b.Capabilities().MaxMessageBytes)
	_, err := b.Append(t.Context(), topic, msgs...)
	var batch *durable.BatchError
	if !errors.As(err, &batch) || !errors.Is(err, durable.ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	for i, want := range []durable.Status{durable.NotSent, durable.Rejected, durable.NotSent} {
		if batch.Outcomes[i].Status != want {
			t.Errorf("message %d: got %v, want %v", i, batch.Outcomes[i].Status, want)
		}
	}
	if got := replayed(t, b, topic, durable.Range{}); len(got) != 0 {
		t.Errorf("got %d records, want none", len(got))
	}
}

// acknowledgedBeforeAKill has what was acknowledged survive.
func acknowledgedBeforeAKill(t *testing.T, k *testenv.KafkaCluster) {
	b := openOn(t, Config{Brokers: k.Brokers()})
	topic := newTopic(t, b, 2)
	var acked []string
	first, stop, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			msgs := events(10, func(i int) string { return fmt.Sprint(i % 3) })
			if _, err := b.Append(context.Background(), topic, msgs...); err == nil {
				for _, m := range msgs {
					acked = append(acked, m.UUID)
				}
			}
			if n == 20 {
				close(first)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	<-first
	k.Node(1).Kill()
	k.Node(1).Restart()
	mustAppend(t, b, topic, events(1, oneKey)...)
	close(stop)
	<-ended
	stored := map[string]int{}
	for _, r := range replayed(t, b, topic, durable.Range{}) {
		stored[r.Message.UUID]++
	}
	for _, id := range acked {
		if stored[id] != 1 {
			t.Errorf("acknowledged %s was stored %d times, want once", id, stored[id])
		}
	}
}
