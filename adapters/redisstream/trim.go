package redisstream

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

var (
	_ durable.Trimmer = (*Backend)(nil)
	_ durable.Remover = (*Backend)(nil)
)

// trimBatch is how many entries the server removes at most in one approximate step.
const trimBatch = 10_000

// trimScript trims the stream KEYS[1]: entries to keep (0 for any), id before which to remove ("" for none), 1 for
// exactly, 1 for unread entries too, milliseconds of the server's time after which to remove (0 for never). An entry is read by a group when it was delivered and is not pending. The reply
// is how many were removed, how many of them unread by some group, and 1 where unread entries stopped it.
//
// Approximate steps remove whole nodes. With groups, what exceeds the length is removed by id, up to what every group
// has read, and LIMIT bounds how much of that goes.
var trimScript = redis.NewScript(`
local key, most, cut, exact, unread = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', ARGV[4] == '1'
if ARGV[5] ~= '0' then
  local now = redis.call('TIME')
  cut = string.format('%.0f-0', math.max(now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[5], 0))
end
if redis.call('EXISTS', key) == 0 then return {0, 0, 0} end
local function info(reply)
  local out = {}
  for i = 1, #reply, 2 do out[reply[i]] = reply[i + 1] end
  return out
end
local function less(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  if ams ~= bms then return #ams < #bms or #ams == #bms and ams < bms end
  return #aseq < #bseq or #aseq == #bseq and aseq < bseq
end
local function first()
  local page = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
  return page[1] and page[1][1]
end
local function behind(id) -- the id before which everything up to id may go
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if #seq > 15 then return id end
  return ms .. '-' .. string.format('%.0f', seq + 1)
end
local groups, safe = {}, nil
for i, raw in ipairs(redis.call('XINFO', 'GROUPS', key)) do
  local g = info(raw)
  groups[i] = g
  g.read = behind(g['last-delivered-id'])
  if g['pending'] > 0 then
    local lowest = redis.call('XPENDING', key, g['name'])[2]
    if lowest and less(lowest, g.read) then g.read = lowest end
  end
  if not safe or less(g.read, safe) then safe = g.read end
end
local before, oldest, removed, held = redis.call('XLEN', key), first(), 0, 0
if unread then safe = nil end
if cut ~= '' then
  local id = cut
  if safe and less(safe, id) then id = safe end
  if exact then
    removed = redis.call('XTRIM', key, 'MINID', '=', id)
  else
    removed = redis.call('XTRIM', key, 'MINID', '~', id)
  end
  local head = first()
  if head and id ~= cut and less(head, cut) and not less(head, safe) then held = 1 end
end
local over = before - removed - most
if most > 0 and over > 0 then
  if not safe then
    removed = removed + redis.call('XTRIM', key, 'MAXLEN', exact and '=' or '~', most)
  else
    local n = redis.call('XTRIM', key, 'MINID', '~', safe, 'LIMIT', over)
    removed, over = removed + n, over - n
    if exact and over > 0 and over <= 1000 then
      local page = redis.call('XRANGE', key, '-', '+', 'COUNT', over + 1)
      local id = page[#page][1]
      if less(safe, id) then id = safe end
      removed = removed + redis.call('XTRIM', key, 'MINID', '=', id)
    end
    local head = first()
    if head and not less(head, safe) and before - removed > most then held = 1 end
  end
end
local lost, now, left = 0, first(), before - removed
if removed > 0 and unread then
  for _, g in ipairs(groups) do
    local n = 0
    if not now or less(g['last-delivered-id'], now) then
      local lag = g['lag']
      if lag then n = math.max(0, math.min(lag, before) - left) end
    end
    if g['pending'] > 0 then
      local to = '+'
      if now then to = '(' .. now end
      n = n + #redis.call('XPENDING', key, g['name'], oldest, to, 1000)
    end
    lost = math.max(lost, n)
  end
end
return {removed, lost, held}`)

// Trim implements durable.Trimmer. Where it is not exact, up to a node of the server's (100 entries by default) stays
// that could go.
func (b *Backend) Trim(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
	if t.MaxLen < 0 {
		return durable.Trimmed{}, fmt.Errorf("redisstream: trim %q: %w", topic, durable.Invalid("MaxLen", fmt.Sprint(t.MaxLen), "use 0 or more"))
	}
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return durable.Trimmed{}, fmt.Errorf("redisstream: trim %q: %w", topic, err)
	}
	var sum durable.Trimmed
	for p := range n {
		got, err := b.trimStream(ctx, streamKey(topic, p, n), t, 0)
		sum.Records, sum.Unread, sum.Held = sum.Records+got.Records, sum.Unread+got.Unread, sum.Held || got.Held
		if err != nil {
			return sum, fmt.Errorf("redisstream: trim %q: %w", topic, err)
		}
	}
	return sum, nil
}

// trimStream trims one stream, in steps, and counts. Age removes what is older by the server's time.
func (b *Backend) trimStream(ctx context.Context, key string, t durable.Trim, age time.Duration) (sum durable.Trimmed, err error) {
	cut := ""
	if !t.Before.IsZero() {
		cut = idAt(t.Before)
	}
	for {
		reply, err := trimScript.Run(ctx, b.control, []string{key}, t.MaxLen, cut, flag(t.Exact), flag(t.AllowUnread), age.Milliseconds()).Int64Slice()
		if err != nil {
			return sum, unavailable(ctx, err)
		}
		if len(reply) != 3 {
			return sum, fmt.Errorf("a reply of %d elements to a trim", len(reply))
		}
		sum.Records, sum.Unread, sum.Held = sum.Records+reply[0], sum.Unread+reply[1], reply[2] == 1
		b.stats.trimmed.Add(reply[0])
		b.stats.unread.Add(reply[1])
		if reply[0] < trimBatch/2 {
			return sum, nil
		}
	}
}

// idAt is the least id of the time t.
func idAt(t time.Time) string {
	ms := max(t.UnixMilli(), 0)
	if t.Sub(time.UnixMilli(ms)) > 0 {
		ms++
	}
	return formatID(uint64(ms), 0)
}

func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}

// Remove implements durable.Remover. Entries that a member holds unfinished are removed too.
func (b *Backend) Remove(ctx context.Context, topic string, ps ...durable.Position) (int64, error) {
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("redisstream: remove from %q: %w", topic, err)
	}
	ids := map[int][]string{}
	for _, p := range ps {
		part, id, err := parsePosition(p, n)
		if err != nil {
			return 0, err
		}
		ids[part] = append(ids[part], id)
	}
	var removed int64
	for part, of := range ids {
		got, err := b.control.XDel(ctx, streamKey(topic, part, n), of...).Result()
		removed += got
		if err != nil {
			return removed, fmt.Errorf("redisstream: remove from %q: %w", topic, unavailable(ctx, err))
		}
	}
	return removed, nil
}
