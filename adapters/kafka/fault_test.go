package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// appendsToAFrozenBroker have an unknown outcome in bounded time.
func appendsToAFrozenBroker(t *testing.T, k *testenv.KafkaCluster) {
	b := openOn(t, Config{Brokers: k.Brokers(), AppendTimeout: time.Second})
	topic := newTopic(t, openOn(t, Config{Brokers: k.Brokers()}), 1)
	awaitAppend(t, b, topic)
	k.Node(1).Freeze()
	defer k.Node(1).Thaw()
	for i, want := range []durable.Status{durable.Unknown, durable.NotSent} { // what comes later waits for the first
		awaitOutcome(t, b, topic, 1+19*i, want)
	}
	other, err := Open(t.Context(), Config{Brokers: k.Brokers(), AppendTimeout: time.Second, OpenTimeout: time.Second})
	if !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("open: got %v, %v, want ErrUnavailable", other, err)
	}
	k.Node(1).Thaw()
	awaitAppend(t, b, topic)
}

// awaitOutcome appends n messages until all have the outcome want: a machine that stands still may send nothing in time.
// Every append must fail as one to a broker that cannot be reached.
func awaitOutcome(t *testing.T, b *Backend, topic string, n int, want durable.Status) {
	t.Helper()
	testenv.Await(t, soon, func() bool {
		_, err := b.Append(t.Context(), topic, events(n, oneKey)...)
		var batch *durable.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) {
			t.Fatalf("got %v, want a BatchError with ErrUnavailable", err)
		}
		return !slices.ContainsFunc(batch.Outcomes, func(o durable.Outcome) bool { return o.Status != want })
	}, fmt.Sprintf("%d messages are %v", n, want))
}

// TestCloseIsBoundedByItsContextWhileTheBrokerIsFrozen has an hour for everything else: nothing ends for another reason.
func TestCloseIsBoundedByItsContextWhileTheBrokerIsFrozen(t *testing.T) {
	k := testenv.StartKafka(t, testenv.KafkaOptions{})
	others := goleak.IgnoreCurrent()
	b, err := Open(t.Context(), Config{
		Brokers: k.Brokers(), OpenTimeout: soon, AppendTimeout: time.Hour, RebalanceTimeout: time.Hour, SessionTimeout: 20 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(5, oneKey)...)
	fetch(t, join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}), 5)
	k.Node(1).Freeze()
	defer k.Node(1).Thaw()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := b.Append(ctx, topic, events(1, oneKey)...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append: got %v, want the end of the context", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	leaktest.None(t, others) // though the broker is still frozen
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
		k.Restart() // it serves, whatever was done to it before
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
	awaitAppend(t, b, topic)
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
