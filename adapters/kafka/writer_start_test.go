package kafka

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// waking is a cluster that answers for a producer id with code until it is ready.
type waking struct {
	model
	code  sarama.KError
	ready time.Time
}

func (w *waking) InitProducerID() (*sarama.InitProducerIDResponse, error) {
	if time.Now().Before(w.ready) {
		return &sarama.InitProducerIDResponse{Err: w.code}, nil
	}
	return w.model.InitProducerID()
}

func TestABrokerThatHasJustStartedIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		code  sarama.KError
		after time.Duration
		want  error
	}{
		{sarama.ErrOffsetsLoadInProgress, 3 * time.Second, nil},
		{sarama.ErrConsumerCoordinatorNotAvailable, 3 * time.Second, nil},
		{sarama.ErrOffsetsLoadInProgress, time.Hour, sarama.ErrOffsetsLoadInProgress},
		{sarama.ErrUnknown, 3 * time.Second, sarama.ErrUnknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			cluster := &waking{code: c.code, ready: time.Now().Add(c.after)}
			if _, err := newWriter(Config{}.filled().producer(), cluster, cluster.send); !errors.Is(err, c.want) {
				t.Errorf("%v for %v: got %v, want %v", c.code, c.after, err, c.want)
			}
		})
	}
}

func TestAnAppendOfAUserWhoIsLockedOutIsDenied(t *testing.T) {
	for _, c := range []struct {
		sent error // of a request
		want durable.Status
	}{
		{fmt.Errorf("connect: %w", sarama.ErrSASLAuthenticationFailed), durable.NotSent},
		{&uncertainError{sarama.ErrSASLAuthenticationFailed}, durable.Unknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := answering(t, func(*sarama.RecordBatch) (sarama.KError, int64) { return sarama.ErrNoError, 0 })
			b.cfg.AppendTimeout = 5 * time.Second
			mustAppend(t, b, "t", events(1, oneKey)...)
			well := b.writer.send
			locked := time.Now().Add(7 * time.Second)
			b.writer.send = func(s *sender, batches []*batch) (*sarama.ProduceResponse, error) {
				if time.Now().Before(locked) {
					return nil, c.sent
				}
				return well(s, batches)
			}
			_, err := b.Append(t.Context(), "t", events(3, oneKey)...)
			var refused *durable.BatchError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a BatchError", err)
			}
			for i, o := range refused.Outcomes {
				if certain := c.want == durable.NotSent; o.Status != c.want || errors.Is(o.Err, durable.ErrDenied) != certain ||
					errors.Is(o.Err, durable.ErrUnavailable) == certain {
					t.Errorf("message %d: got %v, %v, want %v", i, o.Status, o.Err, c.want)
				}
			}
			mustAppend(t, b, "t", events(1, oneKey)...) // an administrator acted, or the broker was not ready
		})
	}
}
