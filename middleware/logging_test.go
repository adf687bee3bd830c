package middleware_test

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/middleware"
)

func TestLoggingNamesTheEventAndTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "e-1", "42"))
		runs := 0
		h := middleware.Logging{Logger: logger}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			middleware.EventLogger(logger, msg).Info("in the handler")
			if runs++; runs == 1 {
				return nil, errHandler
			}
			return nil, nil
		})
		run := process(b, "billing", h, "orders")
		time.Sleep(time.Minute)
		run.end(t)
		var lines []string
		incarnation := regexp.MustCompile(`@\w+`)
		for line := range strings.Lines(text.String()) {
			lines = append(lines, incarnation.ReplaceAllString(line, ""))
		}
		names := `event=e-1 type=order.created source_type=order source_id=42 topic=orders position=0:0 group=billing attempt=`
		for i, want := range []string{
			`level=INFO msg="in the handler" ` + names + "1\n",
			`level=WARN msg="event failed" ` + names + "1 took=0s error=\"handler failed\"\n",
			`level=INFO msg="in the handler" ` + names + "2\n",
			`level=DEBUG msg="event done" ` + names + "2 took=0s\n",
		} {
			if i >= len(lines) || !strings.HasSuffix(lines[i], want) {
				t.Errorf("line %d of\n%s: want %s", i, text.String(), want)
			}
		}
	})
}

func TestLoggingKeepsQuietBelowItsLevelAndTellsOfPanics(t *testing.T) {
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	l := middleware.Logging{Logger: logger}
	if _, err := l.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })(event(t, "1", "a")); err != nil || text.Len() != 0 {
		t.Errorf("got %q and %v, want nothing", text.String(), err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = l.Middleware(func(*message.Message) ([]*message.Message, error) { panic("x") })(event(t, "1", "a"))
	}()
	if !strings.Contains(text.String(), `msg="event panicked" event=1`) {
		t.Errorf("got %q, want the panic", text.String())
	}
}

func TestAStackLogsTheLastAttemptOfAPoisonedEventAsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "e-1", "42"))
		h, err := middleware.Stack{
			Poison: poisoning(b), Retry: &middleware.Retry{MaxAttempts: 2},
			Logging: &middleware.Logging{Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		}.Chain()
		if err != nil {
			t.Fatal(err)
		}
		run := process(b, "billing", h.Middleware(func(*message.Message) ([]*message.Message, error) { panic("no") }), "orders")
		time.Sleep(time.Minute)
		run.end(t)
		if got := text.String(); strings.Count(got, `msg="event failed" event=e-1`) != 2 || strings.Contains(got, "handled") {
			t.Errorf("logged\n%s\nwant two attempts that failed", got)
		}
	})
}
