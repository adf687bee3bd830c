package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// answering is a backend on a broker that answers each batch as the function does.
func answering(t *testing.T, answer func(*sarama.RecordBatch) (sarama.KError, int64)) *Backend {
	t.Helper()
	m := &model{partitions: make([]modelPartition, 1)}
	b := modelBackend(t, m)
	b.cfg.AppendTimeout = soon
	b.writer.send = func(s *sender, batches []*batch) (*sarama.ProduceResponse, error) {
		res := &sarama.ProduceResponse{Version: 9}
		for _, x := range batches {
			code, at := answer(x.wire(s.w.conf))
			res.AddTopicPartition(x.lane.topic.name, x.lane.partition, code)
			res.GetBlock(x.lane.topic.name, x.lane.partition).Offset = at
		}
		return res, nil
	}
	t.Cleanup(func() {
		if err := b.writer.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestADuplicateIsStoredAtAnUnknownPosition(t *testing.T) {
	b := answering(t, func(*sarama.RecordBatch) (sarama.KError, int64) { return sarama.ErrDuplicateSequenceNumber, 7 })
	for _, n := range []int{1, 3} {
		ps, err := b.Append(t.Context(), "t", events(n, oneKey)...)
		if err != nil || slices.ContainsFunc(ps, func(p durable.Position) bool { return p != "" }) {
			t.Errorf("%d messages: got %q, %v, want no positions and no error", n, ps, err)
		}
	}
}

func TestOnlyTheOffendingMessageOfABatchIsRejected(t *testing.T) {
	for _, code := range []sarama.KError{sarama.ErrInvalidRecord, sarama.ErrMessageSizeTooLarge} {
		log := 0
		b := answering(t, func(batch *sarama.RecordBatch) (sarama.KError, int64) {
			for _, r := range batch.Records {
				if string(r.Value) == "bad" {
					return code, -1
				}
			}
			at := int64(log)
			log += len(batch.Records)
			return sarama.ErrNoError, at
		})
		msgs := events(10, func(i int) string { return fmt.Sprint(i % 2) })
		msgs[4].Payload = []byte("bad")
		ps, err := b.Append(t.Context(), "t", msgs...)
		var batch *durable.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, code) {
			t.Fatalf("got %v, want a BatchError with %v", err, code)
		}
		for i, o := range batch.Outcomes {
			want := durable.Outcome{AfterGap: i > 4 && i%2 == 0}
			if i == 4 {
				want.Status = durable.Rejected
			}
			if o.Status != want.Status || o.AfterGap != want.AfterGap || (ps[i] == "") != (i == 4) {
				t.Errorf("message %d: got %+v at %q, want %+v", i, o, ps[i], want)
			}
		}
	}
}

func TestAHealthyBrokerSeesOneEpochWithoutGaps(t *testing.T) {
	next := int32(0)
	b := answering(t, func(batch *sarama.RecordBatch) (sarama.KError, int64) {
		if batch.ProducerEpoch != 0 || batch.FirstSequence != next {
			t.Errorf("got sequence %d of epoch %d, want %d of 0", batch.FirstSequence, batch.ProducerEpoch, next)
		}
		next += int32(len(batch.Records))
		return sarama.ErrNoError, int64(batch.FirstSequence)
	})
	for n := range 20 {
		mustAppend(t, b, "t", events(n+1, oneKey)...)
	}
}

func TestAnExhaustedEpochIsFollowedByANewProducer(t *testing.T) {
	var last atomic.Pointer[sarama.RecordBatch]
	code := sarama.ErrUnknown
	b := answering(t, func(batch *sarama.RecordBatch) (sarama.KError, int64) {
		last.Store(batch)
		return code, 0
	})
	if err := b.writer.find("t"); err != nil {
		t.Fatal(err)
	}
	l := b.writer.topics["t"].lanes[0]
	l.producer, l.epoch, l.sequence = 99, math.MaxInt16, 5
	if _, err := b.Append(t.Context(), "t", events(1, oneKey)...); err == nil {
		t.Error("a failed append succeeded")
	}
	code = sarama.ErrNoError
	mustAppend(t, b, "t", events(1, oneKey)...)
	if got := last.Load(); got.ProducerID != 1 || got.ProducerEpoch != 0 || got.FirstSequence != 0 {
		t.Errorf("got producer %d, epoch %d, sequence %d", got.ProducerID, got.ProducerEpoch, got.FirstSequence)
	}
}

func TestCallersTravelTogetherAndALoneOneNeverWaits(t *testing.T) {
	const trip, rounds = 5 * time.Millisecond, 20
	for _, callers := range []int{1, 2, 64} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			b := answering(t, func(*sarama.RecordBatch) (sarama.KError, int64) {
				requests++
				time.Sleep(trip) // virtual
				return sarama.ErrNoError, 0
			})
			mustAppend(t, b, "t", events(1, oneKey)...) // finds the leader
			requests = 0
			start := time.Now()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range rounds {
						mustAppend(t, b, "t", events(1, oneKey)...)
					}
				})
			}
			wg.Wait()
			if callers == 1 && time.Since(start) != rounds*trip {
				t.Errorf("a lone caller took %v, want %v", time.Since(start), rounds*trip)
			}
			if most := 2*rounds + 2; requests > most {
				t.Errorf("%d callers: got %d requests, want at most %d", callers, requests, most)
			}
		})
	}
}

func TestADeletedTopicIsErrTopicNotFoundAtOnceAndWorksWhenItIsMadeAgain(t *testing.T) {
	t.Parallel()
	b, other := openOn(t, Config{Brokers: testenv.Kafka(t), AppendTimeout: time.Hour}), opened(t)
	topic := newTopic(t, b, 2)
	msgs := events(10, func(i int) string { return fmt.Sprint(i) })
	mustAppend(t, b, topic, msgs...)
	if err := other.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, soon, func() bool { // a leader serves the topic until it has heard
		_, err := b.Append(t.Context(), topic, msgs...)
		return err != nil
	}, "the leaders know that the topic is gone")
	for range 2 {
		_, err := b.Append(t.Context(), topic, msgs...)
		var batch *durable.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, durable.ErrTopicNotFound) {
			t.Fatalf("got %v, want ErrTopicNotFound", err)
		}
		for i, o := range batch.Outcomes {
			if o.Status != durable.Rejected && o.Status != durable.NotSent {
				t.Errorf("message %d: got %v", i, o.Status)
			}
		}
	}
	if err := other.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, topic, msgs...)
	if got := replayed(t, b, topic, durable.Range{}); len(got) != len(msgs) {
		t.Errorf("got %d records, want %d", len(got), len(msgs))
	}
}
