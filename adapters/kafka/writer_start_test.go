package kafka

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
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
