package redisstream

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// fencedError is the refusal of a read without a script.
type fencedError struct{}

func (fencedError) Error() string { return errFenced }

// readBusy reads from a stream that has more. It fences as readScript does, by watching the lease: a change of it
// between the check and the read makes the server refuse. So the entries need not pass through a script, which costs
// more than the further round trips of a large read.
func (c *consumer) readBusy(a active) error {
	ctx := context.Background()
	var read *redis.RawCmd
	err := c.blocking.Watch(ctx, func(tx *redis.Tx) error {
		owner, err := tx.Get(ctx, a.lease).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if owner != c.token {
			return fencedError{}
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			read = redis.NewRawCmd(ctx, "xreadgroup", "group", c.group.Name, c.group.Member, "count", readCount, "streams", a.key, ">")
			return p.Process(ctx, read)
		})
		return err
	}, a.lease)
	switch {
	case errors.Is(err, redis.TxFailedErr): // the lease was renewed meanwhile, or lost
		return nil
	case errors.Is(err, redis.Nil):
		a.busy = false
		return nil
	case err != nil:
		return err
	}
	byKey, err := c.b.rawStreams(read.Val())
	if err != nil {
		return err
	}
	es := byKey[a.key]
	a.busy = len(es) == readCount
	c.push(a, es)
	return nil
}
