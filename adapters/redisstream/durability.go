package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

var _ durable.HealthChecker = (*Backend)(nil)

// The values of Config.Persistence.
const (
	PersistenceWarn    = "warn"    // log and report a server that can lose acknowledged events; the default
	PersistenceRequire = "require" // refuse it
)

// Health returns nil when the server answers and does not lose or evict acknowledged events by its settings. What a
// server hides from this user is taken for good. It is durable.ErrDenied while the server refuses the user, or a member of
// this backend what it reads.
func (b *Backend) Health(ctx context.Context) error {
	if b.closed() {
		return fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	if err := b.cfg.Ping(ctx, "redisstream", b.control); rediskit.Denied(err) {
		return fmt.Errorf("%w: %w", durable.ErrDenied, err)
	} else if err != nil {
		return err
	}
	risks, known, err := b.risks(ctx)
	if err != nil {
		return err
	}
	if err := b.refusedMembers(); err != nil {
		return err
	}
	if known && len(risks) > 0 {
		return fmt.Errorf("redisstream: %w: %s", durable.ErrAtRisk, strings.Join(risks, "; "))
	}
	return nil
}

// checkDurability warns once or refuses, as Persistence says.
func (b *Backend) checkDurability(ctx context.Context) error {
	risks, known, err := b.risks(ctx)
	if err != nil {
		return err
	}
	if !known {
		risks = []string{"the server does not let this user read appendonly, save and maxmemory-policy: grant CONFIG GET"}
	}
	if len(risks) == 0 {
		return nil
	}
	text := strings.Join(risks, "; ")
	if b.cfg.Persistence == PersistenceRequire {
		return &settings.Blamed{Setting: "persistence", Err: fmt.Errorf("redisstream: setting \"persistence\" is \"require\": %s", text)}
	}
	b.logger().Warn("redisstream: acknowledged events may be lost", "server", b.cfg.Connection, "reason", text)
	return nil
}

// risks says in words how acknowledged events can be lost, on any master; known is false where one does not tell.
func (b *Backend) risks(ctx context.Context) (risks []string, known bool, err error) {
	var mu sync.Mutex
	known = true
	err = rediskit.EachMaster(ctx, b.control, func(ctx context.Context, node *redis.Client) error {
		of, told, err := risksAt(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, risk := range of {
			if !slices.Contains(risks, risk) {
				risks = append(risks, risk)
			}
		}
		known = known && told
		return err
	})
	return risks, known, err
}

// risksAt is risks of one server.
func risksAt(ctx context.Context, node *redis.Client) (risks []string, known bool, err error) {
	values := map[string]string{}
	for _, name := range []string{"appendonly", "save", "maxmemory-policy"} {
		got, err := node.ConfigGet(ctx, name).Result()
		var refused redis.Error
		if errors.As(err, &refused) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("redisstream: read the server's setting %q: %w", name, unavailable(ctx, err))
		}
		value, ok := got[name]
		if !ok {
			return nil, false, nil
		}
		values[name] = value
	}
	switch {
	case values["appendonly"] == "yes":
	case values["save"] == "":
		risks = append(risks, `a restart of the server loses every event (set "appendonly yes")`)
	default:
		risks = append(risks, fmt.Sprintf(`a crash of the server loses the events since its last snapshot (save %q; set "appendonly yes")`, values["save"]))
	}
	if policy := values["maxmemory-policy"]; strings.HasPrefix(policy, "allkeys-") {
		risks = append(risks, fmt.Sprintf(`the server evicts whole streams when its memory is full (maxmemory-policy %q; set "noeviction")`, policy))
	}
	return risks, true, nil
}

// waitCommand is what waits for MinReplicas behind a pipeline, empty where none are asked for.
func (c Config) waitCommand() []byte {
	if c.MinReplicas == 0 {
		return nil
	}
	most := max(c.AppendTimeout.Milliseconds()/2, 1)
	return rediskit.AppendCommand(nil, "wait", strconv.Itoa(c.MinReplicas), strconv.FormatInt(most, 10))
}

// tooFew is the error of a batch that too few replicas have acknowledged.
func (b *Backend) tooFew(batch *rediskit.Batch) error {
	if b.cfg.MinReplicas == 0 {
		return nil
	}
	r := batch.Trailer()
	if err := r.Err(); err != nil {
		return fmt.Errorf("redisstream: wait for %d replicas: %w", b.cfg.MinReplicas, passing(err))
	}
	n := r.Int()
	if r.Bad() || n < int64(b.cfg.MinReplicas) {
		return fmt.Errorf("redisstream: %d of %d replicas acknowledged (setting \"min_replicas\"): %w", n, b.cfg.MinReplicas, durable.ErrUnavailable)
	}
	return nil
}
