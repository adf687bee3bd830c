package realtime

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPanicOfTheBackendIsAFailureThatIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBackend{}
		panics := true
		b.answer(func(context.Context, []Notification) error {
			if panics {
				panic(errors.New("a nil map"))
			}
			return nil
		})
		var log lines
		d, err := NewDispatcher(b, DispatcherOptions{FailuresToOpen: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			d.Dispatch(note("c", i))
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if s := checkSum(t, d); s.Panics != 3 || s.Dropped.Error != 3 || s.Breaker != BreakerOpen || s.Dropped.Breaker != 1 {
			t.Errorf("got %+v, want 3 panics that open the breaker", s)
		}
		if n := log.count("panicked in Notify"); n != 1 || log.count("dispatcher_panic_test.go") == 0 {
			t.Errorf("the panic was logged %d times, want once and with its stack", n)
		}
		panics = false
		time.Sleep(time.Hour)
		d.Dispatch(note("c", 9))
		synctest.Wait()
		if s := checkSum(t, d); s.Sent != 1 || s.Breaker != BreakerClosed {
			t.Errorf("got %+v, want it to go on", s)
		}
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
