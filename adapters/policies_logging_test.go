package adapters_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// TestAFileLogsEveryAttempt has one event handled, and one that fails twice and is poisoned.
func TestAFileLogsEveryAttempt(t *testing.T) {
	handled, failed := func(level string) string { return level + " event done event=ok attempt=1" }, func(level string) []string {
		return []string{level + " event failed event=fails attempt=1 error=no", level + " event failed event=fails attempt=2 error=no"}
	}
	for section, want := range map[string][]string{
		"":                           nil,
		"logging: {}":                append([]string{handled("DEBUG")}, failed("WARN")...),
		"logging: { success: info }": append([]string{handled("INFO")}, failed("WARN")...),
		"logging: { success: warn, failure: error }": append([]string{handled("WARN")}, failed("ERROR")...),
	} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
				cfg, err := dual.Parse("f.yaml", []byte(oneByOne+"poison: {}\nretry: { max_attempts: 2 }\n"+section+"\n"))
				if err != nil {
					t.Fatal(err)
				}
				s, err := dual.Open(t.Context(), cfg, linked(), func(o *dual.Options) { o.Logger = logger })
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close(context.Background()) })
				publishOrders(t, s, "ok", "fails")
				run := consume(s, "billing", func(_ context.Context, e durable.Event) error {
					if e.ID == "fails" {
						return errHandler
					}
					return nil
				})
				time.Sleep(time.Minute)
				run.end(t)
				if got := attempts(text.String()); !slices.Equal(got, want) {
					t.Errorf("logged\n%s\nwant %s\nin %s", strings.Join(got, "\n"), strings.Join(want, "\n"), &text)
				}
			})
		})
	}
}

var attemptLine = regexp.MustCompile(`level=(\w+) msg="(event \w+)" event=(\w+) type=order.created .* topic=events .* group=billing attempt=(\d)( .*)`)

// attempts are the lines of a log that tell of one.
func attempts(text string) []string {
	var out []string
	for _, m := range attemptLine.FindAllStringSubmatch(text, -1) {
		line := fmt.Sprintf("%s %s event=%s attempt=%s", m[1], m[2], m[3], m[4])
		if _, err, ok := strings.Cut(m[5], "error="); ok {
			line += " error=" + err
		}
		out = append(out, line)
	}
	return out
}
