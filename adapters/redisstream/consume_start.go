package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

const beginning = "0-0" // the id before every entry

// startID is the id after which a new group reads.
func (b *Backend) startID(ctx context.Context, g durable.Group, s place, start durable.Start) (string, error) {
	switch start.Kind() {
	case durable.StartNewest:
		return "$", nil
	case durable.StartAt:
		return idBefore(start.Time()), nil
	case durable.StartAfter:
		p, ok := start.Cursor()[s.partition]
		if !ok || p == "" {
			return beginning, nil
		}
		_, id, err := parsePosition(p, s.of)
		if err != nil {
			return "", err
		}
		return b.afterID(ctx, g, s, id)
	default:
		return beginning, nil
	}
}

// idBefore is the greatest id of the time before t.
func idBefore(t time.Time) string {
	ms := t.UnixMilli()
	if t.Sub(time.UnixMilli(ms)) > 0 {
		ms++
	}
	if ms <= 0 {
		return beginning
	}
	return strconv.FormatInt(ms-1, 10) + "-18446744073709551615"
}

// afterID is id, if the group exists or nothing behind id is gone; else what OnExpired says.
func (b *Backend) afterID(ctx context.Context, g durable.Group, s place, id string) (string, error) {
	groups, err := b.control.XInfoGroups(ctx, s.key).Result()
	if err != nil && !missing(err) {
		return "", fmt.Errorf("redisstream: groups of %q: %w", s.topic, unavailable(ctx, err))
	}
	for _, have := range groups {
		if have.Name == g.Name {
			return id, nil
		}
	}
	info, err := b.control.XInfoStream(ctx, s.key).Result()
	switch {
	case err != nil && !missing(err):
		return "", fmt.Errorf("redisstream: stream of %q: %w", s.topic, unavailable(ctx, err))
	case err != nil: // no stream: another incarnation, unless the position is the beginning
		info = &redis.XInfoStream{LastGeneratedID: beginning}
	}
	past := compareIDs(id, info.LastGeneratedID) > 0
	gone := compareIDs(id, info.LastGeneratedID) < 0 && (info.Length == 0 || compareIDs(id, info.FirstEntry.ID) < 0)
	if !past && (!gone || id == beginning) {
		return id, nil
	}
	if g.OnExpired == durable.ExpiredOldest {
		b.logger().Warn("redisstream: the start position is no longer stored, the group begins at the oldest entry",
			"topic", s.topic, "partition", s.partition, "group", g.Name, "position", id)
		return beginning, nil
	}
	return "", fmt.Errorf("redisstream: start of group %q in %q after %q: %w", g.Name, s.topic, id, durable.ErrPositionExpired)
}

// missing tells the server's refusal for a key that does not exist.
func missing(err error) bool {
	return errors.Is(err, redis.Nil) || strings.HasPrefix(err.Error(), "ERR no such key")
}
