package redisstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// silent is a backend whose server accepts and never answers, so that dialling it takes as long as a dial may.
func silent(t *testing.T, dial time.Duration) *Backend {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	cfg := Config{Connection: Connection{
		Addr: l.Addr().String(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}, DialTimeout: dial,
	}}
	b := &Backend{cfg: cfg, control: cfg.Client(rediskit.Control), stop: make(chan struct{})}
	t.Cleanup(func() { _, _ = b.control.Close(), l.Close() })
	return b
}

// TestADialOfAControlCommandThatTakesTooLongIsUnavailable is of the look-up of the partitions and of an administrator.
func TestADialOfAControlCommandThatTakesTooLongIsUnavailable(t *testing.T) {
	t.Parallel()
	b := silent(t, 50*time.Millisecond)
	var batch *durable.BatchError
	if _, err := b.Append(soon(t), "t", event(0)); !errors.Is(err, durable.ErrUnavailable) || !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.NotSent {
		t.Errorf("append: got %v, want NotSent, ErrUnavailable", err)
	}
	if err := b.CreateTopic(soon(t), durable.TopicSpec{Name: "t"}); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("create: got %v, want ErrUnavailable", err)
	}
	if _, err := b.Lag(soon(t), "g", "t"); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("lag: got %v, want ErrUnavailable", err)
	}
}

// TestTheDeadlineOfTheCallerIsToldAsSuch is of a dial that has time left.
func TestTheDeadlineOfTheCallerIsToldAsSuch(t *testing.T) {
	t.Parallel()
	b := silent(t, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Append(ctx, "t", event(0)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want that of the caller", err)
	}
}
