package redisstream

import "github.com/redis/go-redis/v9"

// Every script has the stream as KEYS[1] and begins its arguments with group and member.
var (
	// adoptScript reads pending entries of the member once more: group, member, ids. The reply is how many of the ids
	// are still pending, and the entries, without those that were deleted.
	adoptScript = redis.NewScript(`
local ids = {}
for i = 3, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if p[1] then ids[#ids + 1] = ARGV[i] end
end
if #ids == 0 then return {0, {}} end
return {#ids, redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))}`)

	// claimIdleScript takes a page of abandoned entries over: group, member, idle milliseconds, count, first id. The
	// reply is the last id that was looked at, how many were, how many of them are deleted, the entries and their
	// delivery counts. Owners that have nothing left are removed: one that lives is made again by its next read.
	claimIdleScript = redis.NewScript(`
local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[5], '+', ARGV[4])
local ids, tries, owners, last = {}, {}, {}, ''
for _, e in ipairs(page) do
  last = e[1]
  if e[2] ~= ARGV[2] then
    ids[#ids + 1] = e[1]
    tries[e[1]], owners[e[2]] = e[4], true
  end
end
if #ids == 0 then return {last, #page, 0, {}, {}} end
local got = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
local counts = {}
for i, e in ipairs(got) do counts[i] = tries[e[1]] + 1 end
for name in pairs(owners) do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, name) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
  end
end
return {last, #page, #ids - #got, got, counts}`)

	// keepScript keeps the entries of the member from being claimed by others: group, member. The reply is how many.
	keepScript = redis.NewScript(`
local from, n = '-', 0
while true do
  local page = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 1000, ARGV[2])
  if #page == 0 then return n end
  local ids = {}
  for i, e in ipairs(page) do ids[i] = e[1] end
  from, n = '(' .. ids[#ids], n + #ids
  ids[#ids + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
end`)

	// retireScript hands the entries of the member over and removes it when it has none: group, member, idle
	// milliseconds, then pairs of id and delivery count of what was never started.
	retireScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local from, n = '-', 0
while true do
  local page = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 1000, ARGV[2])
  if #page == 0 then break end
  local args = {}
  for i, e in ipairs(page) do args[i] = e[1] end
  from, n = '(' .. args[#args], n + #page
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
