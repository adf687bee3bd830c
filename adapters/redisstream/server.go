package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

const oldestServer = 7 // major version

// server is what depends on the server's version, which is asked once, by Open. Commands of later versions have
// their place in further implementations.
type server interface {
	// appendAck adds the command that acknowledges ps. Its reply is how many of them were pending.
	appendAck(wire []byte, key, group string, ps []durable.Position) []byte
	// claimIdle takes a page of abandoned entries over; see claimIdleScript for arguments and reply.
	claimIdle() *redis.Script
}

// redis7 speaks what Redis 7.0 knows.
type redis7 struct{}

var _ server = redis7{}

// appendAck implements server by XACK.
func (redis7) appendAck(wire []byte, key, group string, ps []durable.Position) []byte {
	wire = rediskit.AppendArray(wire, 3+len(ps))
	wire = append(wire, "$4\r\nxack\r\n"...)
	wire = rediskit.AppendWord(rediskit.AppendWord(wire, key), group)
	for _, p := range ps {
		wire = rediskit.AppendWord(wire, entryID(p))
	}
	return wire
}

// claimIdle implements server by XPENDING and XCLAIM.
func (redis7) claimIdle() *redis.Script { return claimIdleScript }

// askServer asks for the version. A server that does not let this user know is taken for the oldest one that will do.
func (b *Backend) askServer(ctx context.Context) (server, error) {
	text, err := b.control.Info(ctx, "server").Result()
	var refused redis.Error
	if errors.As(err, &refused) {
		return redis7{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redisstream: version of the server: %w", unavailable(ctx, err))
	}
	if err := b.cfg.CheckMode("redisstream", text); err != nil {
		return nil, err
	}
	return serverOf(text)
}

// serverOf reads the reply of INFO.
func serverOf(info string) (server, error) {
	for line := range strings.Lines(info) {
		version, found := strings.CutPrefix(strings.TrimSpace(line), "redis_version:")
		if !found {
			continue
		}
		major, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(major); err == nil && n < oldestServer {
			err := fmt.Errorf("redisstream: the server is Redis %s: use %d.0 or later", version, oldestServer)
			return nil, &settings.Blamed{Setting: "addr", Err: err}
		}
	}
	return redis7{}, nil
}
