package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

// ErrOrdering says that the group has the other ordering. It comes with durable.ErrUnsupported.
var ErrOrdering = errors.New("the group has another ordering")

// The orderings as they are stored.
const (
	orderedMode   = "per-key"
	competingMode = "none"
)

// makeGroup defines make(), which makes a group at a start id: KEYS stream, group hash. The ordering is stored in the field
// "ordering" of the hash and means something while the group exists. A new group at the beginning or the end gets its
// count of read entries, so that the lag is known, unless entries were deleted.
const makeGroup = `
local function info(reply)
  local out = {}
  for i = 1, #reply, 2 do out[reply[i]] = reply[i + 1] end
  return out
end
local function make(name, ordering, start)
  local read = false
  if redis.call('EXISTS', KEYS[1]) == 1 then
    local s = info(redis.call('XINFO', 'STREAM', KEYS[1]))
    if start == '$' then read = s['entries-added'] end
    if start == '0-0' and s['max-deleted-entry-id'] == '0-0' then read = s['entries-added'] - s['length'] end
  elseif start == '$' or start == '0-0' then
    read = 0
  end
  if read then
    redis.call('XGROUP', 'CREATE', KEYS[1], name, start, 'MKSTREAM', 'ENTRIESREAD', read)
  else
    redis.call('XGROUP', 'CREATE', KEYS[1], name, start, 'MKSTREAM')
  end
  redis.call('HDEL', KEYS[2], 'at', 'tries', 'left')
  redis.call('HSET', KEYS[2], 'ordering', ordering)
end
`

// enrollScript makes a group, unless it exists: KEYS stream, group hash; ARGV group, ordering, start id. The reply is
// the ordering of the group, or the version of what is kept of it where that is a later one. A group of others, in which
// members compete, is told by its consumers. It writes first, without effect: a server that became a replica answers what
// does not write, and would say that the group exists.
var enrollScript = redis.NewScript(makeGroup + `
redis.call('HDEL', KEYS[2], 'none')
local version = redis.call('HGET', KEYS[2], 'version')
if version and version ~= '1' then return 'version ' .. version end
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local g = info(raw)
    if g['name'] == ARGV[1] then
      local have = redis.call('HGET', KEYS[2], 'ordering')
      if not have then
        have = ARGV[2]
        if have == 'per-key' and (g['pending'] > 0 or g['consumers'] > 0) then return 'none' end
        redis.call('HSET', KEYS[2], 'ordering', have)
      end
      return have
    end
  end
end
make(ARGV[1], ARGV[2], ARGV[3])
return ARGV[2]`)

// enroll makes the group of g at p at start, unless it exists. A group of the other ordering is ErrOrdering.
func (b *Backend) enroll(ctx context.Context, g durable.Group, p place, start durable.Start) error {
	id, err := b.startID(ctx, g, p, start)
	if err != nil {
		return err
	}
	return b.enrollAt(ctx, g, p, id)
}

// enrollAt is enroll after the entry id.
func (b *Backend) enrollAt(ctx context.Context, g durable.Group, p place, id string) error {
	mode := orderedMode
	if g.Ordering == durable.None {
		mode = competingMode
	}
	have, err := enrollScript.Run(ctx, b.control, []string{p.key, p.groupKey(g.Name)}, g.Name, mode, id).Text()
	if err != nil {
		return fmt.Errorf("redisstream: create group %q of %q: %w", g.Name, p.topic, unavailable(ctx, err))
	}
	if version, later := strings.CutPrefix(have, "version "); later {
		return laterVersion("group "+strconv.Quote(g.Name)+" of "+strconv.Quote(p.topic), version)
	}
	if have != mode {
		return otherOrdering(g, p.topic)
	}
	return nil
}

// laterVersion says that what the server keeps of something was written by a later version of this package. Without the
// field "version" of its hash, which nothing has yet, it is 1.
func laterVersion(what, version string) error {
	return fmt.Errorf("redisstream: %s is kept in version %q, this program knows 1: %w: update it", what, version, durable.ErrUnsupported)
}

// otherOrdering says that g has another ordering than asked for.
func otherOrdering(g durable.Group, topic string) error {
	other := "the other members compete (ordering none)"
	if g.Ordering == durable.None {
		other = "the other members keep the order of keys (ordering per key)"
	}
	return fmt.Errorf("redisstream: group %q of %q: %w: %s: %w: use one ordering in a group, or another group",
		g.Name, topic, ErrOrdering, other, durable.ErrUnsupported)
}
