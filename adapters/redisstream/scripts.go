package redisstream

import "github.com/redis/go-redis/v9"

// The scripts of competing members have the stream as KEYS[1].
var (
	// claimScript takes pending entries of an owner over: group, member, owner, ids.
	claimScript = redis.NewScript(`
local ids = {}
for i = 4, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if p[1] and p[1][2] == ARGV[3] then ids[#ids + 1] = ARGV[i] end
end
if #ids == 0 then return {} end
return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))`)

	// touchScript keeps the entries of a member from being claimed by others: group, member.
	touchScript = redis.NewScript(`
local from = '-'
while true do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 1000, ARGV[2])
  if #p == 0 then return 1 end
  local ids = {}
  for i, e in ipairs(p) do ids[i] = e[1] end
  from = '(' .. ids[#ids]
  ids[#ids + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
end`)

	// leaveScript hands the entries of a member over: group, member, idle milliseconds, then pairs of id and delivery
	// count of what was never started.
	leaveScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local from, n = '-', 0
while true do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 1000, ARGV[2])
  if #p == 0 then break end
  local args = {}
  for i, e in ipairs(p) do args[i] = e[1] end
  from, n = '(' .. args[#args], n + #p
  for _, w in ipairs({'IDLE', ARGV[3], 'JUSTID'}) do args[#args + 1] = w end
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(args))
end
for i = 4, #ARGV, 2 do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if #p > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  end
end
if n == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return n`)
)
