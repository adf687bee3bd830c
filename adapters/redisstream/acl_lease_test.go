package redisstream

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestAMemberThatIsDeniedItsLeasesSaysSoOnce may still show itself to the others, and nothing else.
func TestAMemberThatIsDeniedItsLeasesSaysSoOnce(t *testing.T) {
	t.Parallel()
	r, l := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"}), &logs{}
	set := func(rules ...any) {
		t.Helper()
		must(t, r.Client().Do(t.Context(), append([]any{"acl", "setuser", "app"}, rules...)...).Err())
	}
	set("on", ">secret", "~*", "+@all")
	cfg := Config{Connection: Connection{Addr: r.Addr(), Username: "app", Password: "secret"}, LeaseTTL: 600 * time.Millisecond}
	cfg.Logger = slog.New(slog.NewTextHandler(l, nil))
	b := open(t, cfg)
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics("t")})
	store(t, b, "t", 0, 1)
	must(t, c.Ack(t.Context(), fetch(t, c, 1)...))
	set("resetkeys", "~ds:members:*", "~ds:topic:*")
	told := 0
	fetchDenied := func(ctx context.Context) {
		for {
			ds, err := c.Fetch(ctx, 1)
			if err == nil {
				must(t, c.Ack(t.Context(), ds...)) // of a lease that had run out
				continue
			}
			if ctx.Err() == nil {
				isDenied(t, "fetch", err)
				told++
			}
			return
		}
	}
	fetchDenied(soon(t))
	testenv.Await(t, 20*time.Second, func() bool { return c.(interface{ denied() error }).denied() != nil }, "the denial lasts")
	ctx, stop := context.WithTimeout(t.Context(), 5*cfg.LeaseTTL)
	defer stop()
	for ctx.Err() == nil {
		fetchDenied(ctx)
	}
	if told == 0 || told > 2 {
		t.Errorf("Fetch told %d times of a denial that lasts, want once for the reader and once for the leases", told)
	}
	isDenied(t, "health", b.Health(t.Context()))
	if n := l.count("are looked after again"); n != 0 {
		t.Errorf("got %d log lines of leases that are looked after again", n)
	}
	set("~*")
	store(t, b, "t", 1, 2)
	testenv.Await(t, 20*time.Second, func() bool {
		ds, err := c.Fetch(soon(t), 1)
		return err == nil && len(ds) == 1 && c.Ack(soon(t), ds...) == nil
	}, "the member goes on")
	testenv.Await(t, 20*time.Second, func() bool { return b.Health(t.Context()) == nil }, "healthy again")
}
