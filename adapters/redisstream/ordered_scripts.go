package redisstream

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The scripts of one partition have its stream as KEYS[1], its lease as KEYS[2] and its group hash as KEYS[3], in one
// cluster slot. ARGV begins with the token of the lease and the group.
//
// The fields of the group hash: "ordering" (see enrollScript), "epoch" (changes of owner), "at" (the position at the
// last change of owner) and "tries" (owners since that began there and did not leave in order), "left" (see journal).

// groupInfo defines group(), the fields of the group or nil, and info().
const groupInfo = `
local function info(reply)
  local out = {}
  for i = 1, #reply, 2 do out[reply[i]] = reply[i + 1] end
  return out
end
local function group()
  if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local g = info(raw)
    if g['name'] == ARGV[2] then return g end
  end
end
`

var (
	// ownScript takes a free lease: milliseconds, the least epoch, this member's last token. The reply is {0} where
	// another member holds it, {-1} where there is no group, else epoch, position, entries before it (-1: unknown),
	// tries, journal, and how many entries were trimmed unread.
	ownScript = redis.NewScript(groupInfo + `
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] and owner ~= ARGV[5] then return {0} end
local g = group()
if not g or redis.call('HGET', KEYS[3], 'ordering') ~= 'per-key' then return {-1} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
local state = redis.call('HMGET', KEYS[3], 'epoch', 'at', 'tries', 'left')
local epoch = math.max(tonumber(state[1] or 0), tonumber(ARGV[4])) + 1
local at, tries = g['last-delivered-id'], 1
if state[2] == at then tries = tonumber(state[3] or 0) + (owner == ARGV[1] and 0 or 1) end
redis.call('HSET', KEYS[3], 'epoch', epoch, 'at', at, 'tries', tries)
local s, read, lost = info(redis.call('XINFO', 'STREAM', KEYS[1])), g['entries-read'] or -1, 0
if read >= 0 and s['max-deleted-entry-id'] == '0-0' then lost = math.max(0, s['entries-added'] - s['length'] - read) end
return {epoch, at, read, tries, state[4] or '', lost}`)

	// renewScript prolongs a lease, and takes one that vanished back if nobody held it since: milliseconds, epoch,
	// committed position and entries before it (-1: unknown). The reply is {0} where the lease is another's, {2} where
	// there is no group, {3} where it has the other ordering, else {1, n}: at the end of the stream, n more entries were
	// added than were counted.
	renewScript = redis.NewScript(groupInfo + `
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return {0} end
if not owner then
  local epoch = redis.call('HGET', KEYS[3], 'epoch')
  if epoch and epoch ~= ARGV[4] then return {0} end
  redis.call('HSET', KEYS[3], 'epoch', ARGV[4])
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
local g = group()
if not g then return {2} end
if redis.call('HGET', KEYS[3], 'ordering') == 'none' then return {3} end
if g['last-delivered-id'] ~= ARGV[5] then return {1, 0} end
local s = info(redis.call('XINFO', 'STREAM', KEYS[1]))
local missed = s['entries-added'] - ARGV[6]
if s['last-generated-id'] ~= ARGV[5] or missed == 0 then return {1, 0} end
redis.call('XGROUP', 'SETID', KEYS[1], ARGV[2], ARGV[5], 'ENTRIESREAD', s['entries-added'])
if ARGV[6] == '-1' or s['max-deleted-entry-id'] ~= '0-0' then missed = 0 end
return {1, missed, s['entries-added']}`)

	// commitScript moves the position: entry id, entries up to it (-1: unknown).
	commitScript = redis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('FENCED') end
return redis.call('XGROUP', 'SETID', KEYS[1], ARGV[2], ARGV[3], 'ENTRIESREAD', ARGV[4])`)

	// endScript moves the position unless the id is "", leaves the journal, and gives the lease up: entry id, entries,
	// journal ("-": the old one stays). The reply is 0 where the lease is another's.
	endScript = redis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[5] ~= '-' then redis.call('HSET', KEYS[3], 'tries', 0, 'left', ARGV[5]) end
if ARGV[3] ~= '' then redis.pcall('XGROUP', 'SETID', KEYS[1], ARGV[2], ARGV[3], 'ENTRIESREAD', ARGV[4]) end
return 1`)
)

const noJournal = "-" // see endScript

// call is a script with its arguments.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
}

// in adds c to pipe. The scripts of those who leave are sent as texts: where a node does not know one, whether others
// stand still must not decide when, or if, it is sent again.
func (c call) in(ctx context.Context, pipe redis.Pipeliner) *redis.Cmd {
	if c.script == endScript || c.script == retireScript {
		return c.script.Eval(ctx, pipe, c.keys, c.args...)
	}
	return c.script.EvalSha(ctx, pipe, c.keys, c.args...)
}

// runAll runs calls in one round trip, and sends a script that the server does not know.
func (b *Backend) runAll(ctx context.Context, calls []call) []*redis.Cmd {
	out := make([]*redis.Cmd, len(calls))
	if len(calls) == 0 {
		return out
	}
	pipe := b.control.Pipeline()
	for i, c := range calls {
		out[i] = c.in(ctx, pipe)
	}
	_, _ = pipe.Exec(ctx) // every command holds its own error
	for i, c := range calls {
		if err := out[i].Err(); err != nil && strings.HasPrefix(err.Error(), noScript) {
			out[i] = c.script.Run(ctx, b.control, c.keys, c.args...)
		}
	}
	return out
}
