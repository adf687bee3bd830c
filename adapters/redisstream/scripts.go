package redisstream

import "github.com/redis/go-redis/v9"

// Every script has the stream as KEYS[1], the lease as KEYS[2] and, where it has one, the epoch as KEYS[3]. They
// share one cluster slot. A token of "" is a group without leases.
const fence = `if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('FENCED') end
`

// errFenced begins the scripts' refusal.
const errFenced = "FENCED"

var (
	// acquireScript takes a free lease: token, milliseconds. The reply is the epoch, 0 where it is held.
	acquireScript = redis.NewScript(`
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
return redis.call('INCR', KEYS[3])`)

	// renewScript prolongs a lease, and takes one that ended back if nobody held it since: token, milliseconds, epoch.
	renewScript = redis.NewScript(`
local owner = redis.call('GET', KEYS[2])
if owner == ARGV[1] then return redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
if owner or redis.call('GET', KEYS[3]) ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1`)

	// readScript reads new entries: token, group, member, count. The reply has the last id of the stream where
	// there are none.
	readScript = redis.NewScript(fence + `
local r = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
if r then return {'', r[1][2]} end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return {info[i + 1]} end
end
return {'0-0'}`)

	// claimScript takes pending entries over: token, group, member, owner ("" for any), ids.
	claimScript = redis.NewScript(fence + `
local ids = {}
for i = 5, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], ARGV[2], ARGV[i], ARGV[i], 1)
  if p[1] and (ARGV[4] == '' or p[1][2] == ARGV[4]) then ids[#ids + 1] = ARGV[i] end
end
if #ids == 0 then return {} end
return redis.call('XCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, unpack(ids))`)

	// ackScript acknowledges: token, group, ids.
	ackScript = redis.NewScript(fence + `
return redis.call('XACK', KEYS[1], ARGV[2], unpack(ARGV, 3))`)

	// touchScript keeps the entries of a member from being claimed by others: token, group, member.
	touchScript = redis.NewScript(fence + `
local from = '-'
while true do
  local p = redis.call('XPENDING', KEYS[1], ARGV[2], from, '+', 1000, ARGV[3])
  if #p == 0 then return 1 end
  local ids = {}
  for i, e in ipairs(p) do ids[i] = e[1] end
  from = '(' .. ids[#ids]
  ids[#ids + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, unpack(ids))
end`)

	// leaveScript hands the entries of a member over and ends its lease: token, group, member, idle milliseconds,
	// then pairs of id and delivery count of what was never started.
	leaveScript = redis.NewScript(`
if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local from, n = '-', 0
local free = redis.call('EXISTS', KEYS[1]) == 0
while not free do
  local p = redis.call('XPENDING', KEYS[1], ARGV[2], from, '+', 1000, ARGV[3])
  if #p == 0 then break end
  local args = {}
  for i, e in ipairs(p) do args[i] = e[1] end
  from, n = '(' .. args[#args], n + #p
  for _, w in ipairs({'IDLE', ARGV[4], 'JUSTID'}) do args[#args + 1] = w end
  redis.call('XCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, unpack(args))
end
for i = 5, #ARGV, 2 do
  local p = redis.call('XPENDING', KEYS[1], ARGV[2], ARGV[i], ARGV[i], 1, ARGV[3])
  if #p > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, ARGV[i], 'IDLE', ARGV[4], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  end
end
if n == 0 and not free then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[2], ARGV[3]) end
if ARGV[1] ~= '' then redis.call('DEL', KEYS[2]) end
return n`)

	// tidyScript removes the consumers other than the member that hold nothing: token, group, member.
	tidyScript = redis.NewScript(fence + `
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[2])) do
  local name, pending
  for i = 1, #c, 2 do
    if c[i] == 'name' then name = c[i + 1] elseif c[i] == 'pending' then pending = c[i + 1] end
  end
  if pending == 0 and name ~= ARGV[3] then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[2], name) end
end
return 1`)
)
