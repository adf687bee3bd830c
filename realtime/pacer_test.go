package realtime

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// arrivals runs a dispatcher with a backend that notes how long after its dispatch each notification came: delays tells.
func arrivals(t *testing.T, run func(d *Dispatcher, delays func() []time.Duration)) {
	synctest.Test(t, func(t *testing.T) {
		var late []time.Duration
		b := &fakeBackend{}
		b.answer(func(_ context.Context, ns []Notification) error {
			for i := range ns {
				late = append(late, time.Since(ns[i].Time))
			}
			return nil
		})
		d, err := NewDispatcher(b, DispatcherOptions{Batch: 8})
		if err != nil {
			t.Fatal(err)
		}
		run(d, func() []time.Duration { synctest.Wait(); return late })
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		checkSum(t, d)
	})
}

func now() Notification {
	n := note("c", 1)
	n.Time = time.Now()
	return n
}

func worst(ds []time.Duration) (most time.Duration) {
	for _, d := range ds {
		most = max(most, d)
	}
	return most
}

func TestAtLowLoadNoNotificationWaits(t *testing.T) {
	arrivals(t, func(d *Dispatcher, delays func() []time.Duration) {
		for range 3 {
			for range paceBurst {
				d.Dispatch(now())
				synctest.Wait()
			}
			time.Sleep(paceBurst * paceInterval)
		}
		for range 2000 {
			d.Dispatch(now())
			time.Sleep(time.Millisecond)
		}
		if got := delays(); len(got) != 3*paceBurst+2000 || worst(got) != 0 {
			t.Errorf("%d came, the slowest after %v of the fake clock, want all at once", len(got), worst(got))
		}
	})
}

func TestAtHighLoadCallsAreFewAndWaitsAreShort(t *testing.T) {
	arrivals(t, func(d *Dispatcher, delays func() []time.Duration) {
		const n = 10_000
		for range n {
			d.Dispatch(now())
			time.Sleep(100 * time.Microsecond)
		}
		got := delays()
		if calls := d.Stats().Batches; len(got) != n || worst(got) > paceInterval || calls > paceBurst+n/5+1 {
			t.Errorf("%d came in %d calls, the slowest after %v of the fake clock", len(got), calls, worst(got))
		}
	})
}

func TestAWholeBatchDoesNotWait(t *testing.T) {
	arrivals(t, func(d *Dispatcher, delays func() []time.Duration) {
		many := make([]Notification, 8*4*paceBurst)
		for i := range many {
			many[i] = now()
		}
		d.Dispatch(many...)
		if got := delays(); len(got) != len(many) || worst(got) != 0 {
			t.Errorf("%d came, the slowest after %v of the fake clock, want all at once", len(got), worst(got))
		}
		d.Dispatch(now())
		time.Sleep(time.Second)
		if got := delays(); len(got) != len(many)+1 || worst(got) > paceInterval {
			t.Errorf("%d came, the one after them after %v of the fake clock, want it soon", len(got), worst(got))
		}
	})
}

func TestClosingDoesNotWaitForThePace(t *testing.T) {
	arrivals(t, func(d *Dispatcher, delays func() []time.Duration) {
		for range paceBurst + 1 {
			d.Dispatch(now())
			synctest.Wait()
		}
		d.Dispatch(now())
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if got := delays(); len(got) != paceBurst+2 || worst(got) != 0 {
			t.Errorf("%d came, the slowest after %v of the fake clock, want all at once", len(got), worst(got))
		}
	})
}
