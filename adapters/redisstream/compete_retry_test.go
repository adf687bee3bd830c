package redisstream

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

var errNotYet = errors.New("not yet")

// crowd stores n events of as many keys as keys; ids and keys begin with prefix.
func crowd(t *testing.T, b *Backend, topic, prefix string, n, keys int) {
	t.Helper()
	for from := 0; from < n; from += 100 {
		var msgs []*message.Message
		for i := from; i < min(from+100, n); i++ {
			m := message.NewMessage(prefix+strconv.Itoa(i), nil)
			m.Metadata[durable.MetaPartitionKey] = prefix + strconv.Itoa(i%keys)
			msgs = append(msgs, m)
		}
		if _, err := b.Append(soon(t), topic, msgs...); err != nil {
			t.Fatal(err)
		}
	}
}

func later(*message.Message) error { return durable.RetryAfter(errNotYet, time.Hour) }

// TestWhatWaitsTakesNothingOfWhatLimitsReading has far more than leastOpen deliveries that no worker could handle,
// and entries of other keys behind them.
func TestWhatWaitsTakesNothingOfWhatLimitsReading(t *testing.T) {
	for name, c := range map[string]struct {
		keys   int
		handle message.NoPublishHandlerFunc
	}{
		"retries":           {1000, later},
		"behind retries":    {4, later},
		"parked":            {4, func(*message.Message) error { return durable.Park(errNotYet) }},
		"behind a slow one": {1, func(m *message.Message) error { <-m.Context().Done(); return m.Context().Err() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := testenv.Name(t, "t")
			b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
			const free = 2000
			crowd(t, b, topic, "stuck", 1000, c.keys)
			crowd(t, b, topic, "free", free, 50)
			var handled atomic.Int64
			all := make(chan struct{})
			ended := make(chan error, 1)
			ctx, stop := contextOf(t)
			go func() {
				ended <- durable.Process(ctx, b, competing(topic, "m"), func(m *message.Message) error {
					if m.UUID[0] == 's' {
						return c.handle(m)
					}
					if handled.Add(1) == free {
						close(all)
					}
					return nil
				}, durable.ProcessOptions{Concurrency: 4, DrainTimeout: time.Millisecond})
			}()
			select {
			case <-all:
			case <-time.After(4 * stuckTime): // in which a member that counts them takes a few hundred of the thousand
				t.Errorf("got %d of %d entries of other keys handled", handled.Load(), free)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNewEntriesDoNotWaitForRetries stores an entry when everything that is there waits for a retry.
func TestNewEntriesDoNotWaitForRetries(t *testing.T) {
	topic := testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	crowd(t, b, topic, "stuck", 200, 200)
	var failed atomic.Int64
	came := make(chan struct{})
	ended := make(chan error, 1)
	ctx, stop := contextOf(t)
	go func() {
		ended <- durable.Process(ctx, b, competing(topic, "m"), func(m *message.Message) error {
			if m.UUID[0] == 's' {
				failed.Add(1)
				return later(m)
			}
			close(came)
			return nil
		}, durable.ProcessOptions{Concurrency: 4})
	}()
	// A member that counts what waits takes 128, and 64 more after each stuckTime.
	testenv.Await(t, 2*stuckTime-5*time.Second, func() bool { return failed.Load() == 200 }, "all that fail wait for their retry")
	crowd(t, b, topic, "free", 1, 1)
	select {
	case <-came:
	case <-time.After(stuckTime - 5*time.Second):
		t.Error("the new entry waits")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
