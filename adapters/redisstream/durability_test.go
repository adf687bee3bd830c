package redisstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestAServerThatLosesEventsIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		opts testenv.RedisOptions
		want string // "" for a server that is fine
	}{
		"fine":            {testenv.RedisOptions{}, ""},
		"nothing written": {testenv.RedisOptions{AppendOnly: "no"}, "appendonly"},
		"snapshots":       {testenv.RedisOptions{AppendOnly: "no", Settings: []string{"--save", "3600 1"}}, "snapshot"},
		"eviction":        {testenv.RedisOptions{MaxMemoryPolicy: "allkeys-lru"}, "maxmemory-policy"},
		"hidden":          {testenv.RedisOptions{Settings: []string{"--rename-command", "CONFIG", ""}}, "CONFIG GET"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			cfg := Config{
				Connection: Connection{Addr: testenv.StartRedis(t, c.opts).Addr()},
				Logger:     slog.New(slog.NewTextHandler(&log, nil)),
			}
			b := open(t, cfg)
			err := b.Health(t.Context())
			if healthy := c.want == "" || name == "hidden"; healthy != (err == nil) || !healthy && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Health: got %v, want %q", err, c.want)
			}
			warned := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), c.want)
			if warned != (c.want != "") || strings.Count(log.String(), "\n") > 1 {
				t.Errorf("logged %q, want one warning with %q", log.String(), c.want)
			}
			cfg.Persistence = PersistenceRequire
			strict, err := Open(t.Context(), cfg)
			if err == nil {
				_ = strict.Close(t.Context())
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), `"persistence"`) {
				t.Errorf("require: got %v, want a refusal: %t", err, c.want != "")
			}
		})
	}
}

func TestSettingsOfDurabilityAreChecked(t *testing.T) {
	conn := Connection{Addr: testenv.Redis(t)}
	for setting, cfg := range map[string]Config{
		"persistence":  {Connection: conn, Persistence: "maybe"},
		"min_replicas": {Connection: conn, MinReplicas: -1},
	} {
		if _, err := Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("got %v, want an error that names %q", err, setting)
		}
	}
}

func TestTooFewReplicasLeaveUnknown(t *testing.T) {
	t.Parallel()
	master := testenv.StartRedis(t, testenv.RedisOptions{})
	cfg := Config{Connection: Connection{Addr: master.Addr()}, MinReplicas: 1, AppendTimeout: 2 * time.Second}
	b := open(t, cfg)
	put := func() (durable.Status, error) {
		_, err := b.Append(t.Context(), "t", event(1))
		var batch *durable.BatchError
		if err != nil && (!errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable)) {
			t.Fatal(err)
		}
		if err != nil {
			return batch.Outcomes[0].Status, err
		}
		return durable.Stored, nil
	}
	testenv.Await(t, 30*time.Second, func() bool {
		status, err := put()
		if err == nil {
			t.Fatal("no replica: got nil, want an unknown outcome")
		}
		return status == durable.Unknown && strings.Contains(err.Error(), "min_replicas") // and not that the server stands still
	}, "no replica: the outcome is unknown, and the error names min_replicas")
	testenv.StartRedis(t, testenv.RedisOptions{ReplicaOf: master})
	testenv.Await(t, time.Minute, func() bool { _, err := put(); return err == nil }, "the replica is in step")
}

func TestAFullServerStoresNothingAndServesAgain(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}})
	if err := r.Client().ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Append(t.Context(), "t", events(2)...)
	var batch *durable.BatchError
	if !errors.As(err, &batch) || batch.Outcomes[1].Status != durable.NotSent || !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("got %v, want not sent and ErrUnavailable", err)
	}
	if err := r.Client().ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), "t", events(2)...); err != nil {
		t.Errorf("with memory again: got %v, want nil", err)
	}
}

func TestAGapOfAKeyIsTold(t *testing.T) {
	msgs := events(3)
	msgs[1].Metadata.Set(durable.MetaPartitionKey, "other")
	writer := answering(t, "-ERR broken\r\n$3\r\n1-0\r\n$3\r\n2-0\r\n", "")
	batch3 := rediskit.NewBatch([]byte("x"), len(msgs))
	if fate, err := writer.Send(t.Context(), batch3); fate != rediskit.Answered {
		t.Fatalf("got %v, %v, want an answer", fate, err)
	}
	_, err := new(Backend).results(&placement{topic: "t", n: 1}, msgs, batch3)
	var batch *durable.BatchError
	if !errors.As(err, &batch) {
		t.Fatalf("got %v, want a BatchError", err)
	}
	if o := batch.Outcomes; o[0].Status != durable.Rejected || o[1].AfterGap || !o[2].AfterGap {
		t.Errorf("got %+v, want a gap at the third message alone", o)
	}
}

// TestAStoredEventWhoseReplicasAreNotKnownIsUnknown has the server answer an append, and the wait for replicas by an error.
func TestAStoredEventWhoseReplicasAreNotKnownIsUnknown(t *testing.T) {
	type kinds struct{ unavailable, denied bool }
	for refusal, want := range map[string]kinds{
		"ERR WAIT cannot be used with replica instances. ":                    {unavailable: true},
		"NOPERM this user has no permissions to run the 'wait' command":       {denied: true},
		"ERR unknown command 'wait', with args beginning with: '1', '2500', ": {},
	} {
		b := &Backend{cfg: Config{MinReplicas: 1}}
		writer := answering(t, "$3\r\n1-0\r\n-"+refusal+"\r\n", "w")
		batch1 := rediskit.NewBatch([]byte("x"), 1)
		if fate, err := writer.Send(t.Context(), batch1); fate != rediskit.Answered {
			t.Fatalf("got %v, %v, want an answer", fate, err)
		}
		_, err := b.results(&placement{topic: "t", n: 1}, events(1), batch1)
		var batch *durable.BatchError
		if !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.Unknown {
			t.Fatalf("%s: got %v, want an unknown outcome", refusal, err)
		}
		if got := (kinds{errors.Is(err, durable.ErrUnavailable), errors.Is(err, durable.ErrDenied)}); got != want {
			t.Errorf("%s: got %v, %+v, want %+v", refusal, err, got, want)
		}
	}
}

// answering is a writer to a server that answers the first bytes that it gets with replies, the last of which is that to
// trailer where there is one.
func answering(t *testing.T, replies, trailer string) *rediskit.Writer {
	t.Helper()
	ours, theirs := net.Pipe()
	w := rediskit.NewWriter(rediskit.WriterOptions{
		Dial:    func(context.Context) (net.Conn, error) { return ours, nil },
		Timeout: 10 * time.Second, Trailer: []byte(trailer),
	})
	t.Cleanup(w.Close)
	go func() { // ends with the connection, which Close closes
		_, err := io.ReadFull(theirs, make([]byte, 1+len(trailer)))
		if err == nil {
			_, _ = theirs.Write([]byte(replies))
		}
	}()
	return w
}
