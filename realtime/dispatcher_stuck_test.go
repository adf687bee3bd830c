package realtime

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines is a log that several goroutines write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func TestABackendThatIgnoresItsContextIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, gate := &fakeBackend{}, make(chan struct{})
		b.answer(func(context.Context, []Notification) error { <-gate; return nil })
		var log lines
		d, err := NewDispatcher(b, DispatcherOptions{Queue: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		d.Dispatch(note("c", 0))
		synctest.Wait()
		time.Sleep(time.Second)
		d.Dispatch(note("c", 1))
		if d.Stats().Stuck || log.count("does not return") != 0 {
			t.Error("reported before the time was over")
		}
		for i := range 100 {
			time.Sleep(time.Second)
			d.Dispatch(note("c", 2+i))
		}
		if s := checkSum(t, d); !s.Stuck || log.count("does not return") != 1 || s.Dropped.Overflow != 97 {
			t.Errorf("got %+v and %d lines, want it stuck and one line", s, log.count("does not return"))
		}
		close(gate)
		synctest.Wait()
		if s := checkSum(t, d); s.Stuck || log.count("has returned") != 1 || s.Sent != 5 {
			t.Errorf("got %+v and %d lines, want it sent again and one line", s, log.count("has returned"))
		}
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
