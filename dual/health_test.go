package dual_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

var errSick = errors.New("sick")

func part(name string, err error) dual.HealthCheck {
	return dual.HealthCheck{Name: name, Check: func(context.Context) error { return err }}
}

func newHealth(t *testing.T, o dual.HealthOptions, checks ...dual.HealthCheck) *dual.Health {
	t.Helper()
	if o.Bound == 0 {
		o.Bound = time.Hour // however long the machine stands still
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h, err := dual.NewHealth(o, checks...)
	if err != nil {
		t.Fatalf("NewHealth: got %v, want nil", err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	})
	return h
}

// states is the report in short.
func states(r dual.HealthReport) string {
	var parts []string
	for _, p := range r.Parts {
		parts = append(parts, p.Name+"="+p.State)
	}
	return strings.Join(parts, " ")
}

func TestOneFailedPartMakesUnreadyAndADegradedOneDoesNot(t *testing.T) {
	h := newHealth(t, dual.HealthOptions{}, part("a", nil), part("b", dual.Degraded(errSick)))
	r := h.Ready(t.Context())
	if !r.OK || states(r) != "a=ok b=degraded" || r.Parts[1].Reason != "sick" || r.Err() != nil {
		t.Errorf("got %+v, want ready with b degraded", r)
	}
	if err := h.Add(part("c", errSick)); err != nil {
		t.Fatal(err)
	}
	if r := h.Ready(t.Context()); r.OK || states(r) != "a=ok b=degraded c=failed" || r.Err() == nil || r.Err().Error() != "c: sick" {
		t.Errorf("got %+v, want unready because of c", r)
	}
	if r := h.Live(t.Context()); !r.OK || len(r.Parts) != 0 {
		t.Errorf("live: got %+v, want live: no part needs a restart", r)
	}
	if err := h.Add(dual.HealthCheck{Name: "d", Live: true, Check: func(context.Context) error { return errSick }}); err != nil {
		t.Fatal(err)
	}
	if r := h.Live(t.Context()); r.OK || states(r) != "d=failed" {
		t.Errorf("live: got %+v, want not live because of d", r)
	}
}

func TestAProbeNeverTakesLongerThanItsBoundAndAHangingCheckRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		free := make(chan struct{})
		h := newHealth(t, dual.HealthOptions{Bound: time.Second}, part("fine", nil), dual.HealthCheck{
			Name: "hangs", Check: func(context.Context) error { calls.Add(1); <-free; return nil },
		})
		for range 3 {
			begin := time.Now()
			r := h.Ready(t.Context())
			if took := time.Since(begin); took != time.Second || r.OK || states(r) != "fine=ok hangs=failed" {
				t.Errorf("got %+v after %s, want unready because of hangs after 1s", r, took)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("calls of the check that hangs: got %d, want 1", n)
		}
		close(free)
		synctest.Wait()
		if r := h.Ready(t.Context()); !r.OK {
			t.Errorf("afterwards: got %+v, want ready", r)
		}
	})
}

func TestManyProbesCostAsMuchAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		h := newHealth(t, dual.HealthOptions{}, dual.HealthCheck{
			Name: "counts", Check: func(context.Context) error { calls.Add(1); return nil },
		})
		for range 100 {
			h.Ready(t.Context())
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("calls within Fresh: got %d, want 1", n)
		}
		time.Sleep(2 * time.Second)
		h.Ready(t.Context())
		if n := calls.Load(); n != 2 {
			t.Errorf("calls after Fresh: got %d, want 2", n)
		}
	})
}

func TestAPanicOfACheckIsItsFailure(t *testing.T) {
	h := newHealth(t, dual.HealthOptions{}, dual.HealthCheck{Name: "a", Check: func(context.Context) error { panic("broken") }})
	if r := h.Ready(t.Context()); r.OK || !strings.Contains(r.Parts[0].Reason, "broken") {
		t.Errorf("got %+v, want the panic as the reason", r)
	}
}

func TestChecksAreRefusedByName(t *testing.T) {
	for _, c := range [][]dual.HealthCheck{{part("", nil)}, {part("a", nil), part("a", nil)}, {{Name: "a"}}} {
		if _, err := dual.NewHealth(dual.HealthOptions{}, c...); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%v: got %v, want ErrInvalid", c, err)
		}
	}
	for _, o := range []dual.HealthOptions{{Bound: -1}, {Fresh: -1}} {
		if _, err := dual.NewHealth(o); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", o, err)
		}
	}
}

func TestAClosedHealthIsNotReady(t *testing.T) {
	h := newHealth(t, dual.HealthOptions{}, part("a", nil))
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := h.Ready(t.Context()); r.OK || r.Err() == nil {
		t.Errorf("got %+v, want unready", r)
	}
}

func TestHandlersAnswerWithStatusAndReasons(t *testing.T) {
	h := newHealth(t, dual.HealthOptions{}, part("a", errSick))
	for name, c := range map[string]struct {
		handler http.Handler
		method  string
		want    int
	}{
		"ready": {h.ReadyHandler(), http.MethodGet, http.StatusServiceUnavailable},
		"live":  {h.LiveHandler(), http.MethodGet, http.StatusOK},
		"post":  {h.ReadyHandler(), http.MethodPost, http.StatusMethodNotAllowed},
	} {
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, "/", nil))
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", name, w.Code, c.want)
		}
		if name != "ready" {
			continue
		}
		var r dual.HealthReport
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || states(r) != "a=failed" || r.Parts[0].Reason != "sick" {
			t.Errorf("%s: got %s, %v", name, w.Body, err)
		}
	}
}

func TestALagOverTheBoundIsToldInWords(t *testing.T) {
	b, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	var msgs []*message.Message
	for range 10 {
		msg, err := durable.Event{Type: "x", SourceType: "s", SourceID: "slow"}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	if _, err := b.Append(t.Context(), "t", msgs...); err != nil {
		t.Fatal(err)
	}
	c, err := b.Consume(t.Context(), durable.Group{Name: "g", Topics: durable.Topics("t")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := newHealth(t, dual.HealthOptions{}, dual.CheckDurable(b), dual.CheckLag(b, "g", 5, "t"))
	r := h.Ready(t.Context())
	want := `group "g" is 10 events behind in partition 0 of "t", more than 5`
	if states(r) != "durable memory=ok lag of g=failed" || !strings.Contains(r.Err().Error(), want) {
		t.Errorf("got %+v, want %q", r, want)
	}
}
