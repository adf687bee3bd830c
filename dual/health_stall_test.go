package dual_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

func TestAPartitionThatOneKeyStallsIsToldInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := memory.New(memory.Config{Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"slow", "slow", "slow", "slow", "slow", "slow"} {
			msg, err := durable.Event{Type: "x", SourceType: "s", SourceID: key}.Message("")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Append(t.Context(), "t", msg); err != nil {
				t.Fatal(err)
			}
		}
		monitor, ended := new(durable.Monitor), make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			ended <- durable.Process(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("t")}, func(*message.Message) error {
				return durable.RetryAfter(errSick, time.Second)
			}, durable.ProcessOptions{
				MaxInFlight: 2, Monitor: monitor, StallAfter: time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
		}()
		h := newHealth(t, dual.HealthOptions{}, dual.CheckStalls("stalls", monitor, 20*time.Second))
		if r := h.Ready(t.Context()); !r.OK {
			t.Errorf("at first: got %+v, want ready", r)
		}
		time.Sleep(time.Minute)
		r := h.Ready(t.Context())
		if r.OK || !strings.Contains(r.Err().Error(), `stalls: partition 0 of "t" is stalled by key "slow" at 0:0`) {
			t.Errorf("got %+v, want the key that stalls", r)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Process: got %v, want nil", err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	})
}
