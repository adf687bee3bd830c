package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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

// mute is a cluster that does not tell who leads once it is on.
type mute struct {
	model
	on   atomic.Bool
	over chan struct{}
}

func (m *mute) Leader(topic string, partition int32) (*sarama.Broker, error) {
	if m.on.Load() {
		<-m.over
	}
	return m.model.Leader(topic, partition)
}

func TestALockOutThatNobodyWaitedForIsNotToldToTheNextAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &mute{model: model{partitions: make([]modelPartition, 1)}, over: make(chan struct{})}
		late := make(chan struct{})
		w, err := newWriter(Config{}.filled().producer(), cluster, func(*sender, []*batch) (*sarama.ProduceResponse, error) {
			<-late
			return nil, fmt.Errorf("connect: %w", sarama.ErrSASLAuthenticationFailed)
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &Backend{cfg: Config{}.filled(), writer: w}
		b.life, b.end = context.WithCancelCause(t.Context())
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := b.Append(ctx, "t", events(1, oneKey)...); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the caller's patience", err)
		}
		cluster.on.Store(true)
		close(late)
		synctest.Wait()
		_, err = b.Append(t.Context(), "t", events(1, oneKey)...)
		if !errors.Is(err, durable.ErrUnavailable) || errors.Is(err, durable.ErrDenied) {
			t.Errorf("got %v, want ErrUnavailable alone", err)
		}
		close(cluster.over)
		if err := w.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
