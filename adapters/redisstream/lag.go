package redisstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.LagReporter = (*Backend)(nil)

// lagScript describes group ARGV[1] of the stream KEYS[1], whose lease is KEYS[2]. The reply is empty where there is none;
// otherwise its lag (-1 where the server does not know it), its pending entries, the server's time in milliseconds, the
// first of the pending, the last entry that was delivered, the token of the owner, and for each member that holds some
// its name, how many, and the first of them.
var lagScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local group
for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local g = {}
  for i = 1, #raw, 2 do g[raw[i]] = raw[i + 1] end
  if g['name'] == ARGV[1] then group = g end
end
if not group then return {} end
local now = redis.call('TIME')
local out = {group['lag'] or -1, group['pending'], now[1] * 1000 + math.floor(now[2] / 1000), '',
  group['last-delivered-id'], redis.call('GET', KEYS[2]) or ''}
if group['pending'] == 0 then return out end
local sum = redis.call('XPENDING', KEYS[1], ARGV[1])
out[4] = sum[2]
for _, c in ipairs(sum[4]) do
  local first = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, c[1])
  out[#out + 1] = {c[1], tonumber(c[2]), first[1][1]}
end
return out`)

// Lag implements durable.LagReporter by what the server counts. A partition in which the group was not made yet,
// and one whose count the server lost by deletions, have the lag -1. A group that no partition knows is invalid.
// Under Ordering PerKey nothing is pending: what is not committed is lag, and Members is the owner. Under Ordering None Redis 7.0 does not replicate
// what it counts: after a failover Lag is too large by what the group had read before.
func (b *Backend) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("redisstream: lag of %q in %q: %w", group, topic, err)
	}
	out, found := make([]durable.PartitionLag, n), false
	for p := range n {
		at := newPlace(topic, p, n)
		reply, err := lagScript.Run(ctx, b.control, []string{at.key, at.leaseKey(group)}, group).Slice()
		if err != nil {
			return nil, fmt.Errorf("redisstream: lag of %q in %q: %w", group, topic, unavailable(ctx, err))
		}
		out[p] = durable.PartitionLag{Partition: p, Lag: -1}
		if len(reply) >= 6 {
			found = true
			readLag(&out[p], reply, n)
		}
	}
	if !found {
		return nil, fmt.Errorf("redisstream: lag in %q: %w", topic, durable.Invalid("group", group, "name a group that has consumed this topic"))
	}
	return out, nil
}

// readLag reads a reply of lagScript that is not empty, about one of n partitions.
func readLag(l *durable.PartitionLag, reply []any, n int) {
	l.Lag, _ = reply[0].(int64)
	l.Pending, _ = reply[1].(int64)
	now, _ := reply[2].(int64)
	age := func(id any) time.Duration {
		text, _ := id.(string)
		if text == "" {
			return 0
		}
		return max(time.Duration(now-int64(numberOf(text).ms))*time.Millisecond, 0)
	}
	l.OldestPending = age(reply[3])
	if id, _ := reply[4].(string); id != "" && id != beginning {
		l.Position = position(id, l.Partition, n)
	}
	if token, _ := reply[5].(string); token != "" {
		l.Members = append(l.Members, durable.MemberLag{Member: ownerOf(token)})
	}
	for _, row := range reply[6:] {
		m, ok := row.([]any)
		if !ok || len(m) != 3 {
			continue
		}
		held := durable.MemberLag{OldestPending: age(m[2])}
		held.Member, _ = m[0].(string)
		held.Pending, _ = m[1].(int64)
		l.Members = append(l.Members, held)
	}
}

// ownerOf is the member's name in the token of a lease, behind which there are two random texts.
func ownerOf(token string) string {
	for range 2 {
		token = token[:max(strings.LastIndexByte(token, ':'), 0)]
	}
	return token
}
