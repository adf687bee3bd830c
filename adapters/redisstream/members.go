package redisstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// membersKey is the hash of the members of a group with Ordering PerKey.
func membersKey(group string) string { return "ds:members:{" + group + "}" }

// presence is what the server knew of a member before it showed itself.
type presence int

const (
	absent presence = iota
	lapsed
	present
)

// roster is the members of a group at one moment.
type roster struct {
	born  string // tells incarnations of the hash apart
	was   presence
	peers []peer        // sorted by id, the asking member among them
	next  time.Duration // until the first of the others ends unless it shows itself again; 0: none does
}

// beatScript shows a member and tells who else is there: KEYS members; ARGV id, milliseconds, holding, a random text.
// The field of a member is "m:" and its id, the value the server's time at which it ends, and its holding. Members
// that ended are removed.
var beatScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local born = redis.call('HGET', KEYS[1], 'born')
if not born then
  born = ARGV[4]
  redis.call('HSET', KEYS[1], 'born', born)
end
local out, was, mine = {born, 0}, 0, 'm:' .. ARGV[1]
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'm:' then
    local ends, holding = string.match(all[i + 1], '^(%d+) (.*)$')
    ends = tonumber(ends or 0)
    if all[i] == mine then
      was = ends > now and 2 or 1
    elseif ends <= now then
      redis.call('HDEL', KEYS[1], all[i])
    else
      out[#out + 1] = string.sub(all[i], 3)
      out[#out + 1] = ends - now
      out[#out + 1] = holding
    end
  end
end
redis.call('HSET', KEYS[1], mine, string.format('%.0f ', now + ARGV[2]) .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[2])
out[2] = was
return out`)

// beat shows member id of group for ttl and returns who is there.
func (b *Backend) beat(ctx context.Context, group, id string, ttl time.Duration, h holding) (roster, error) {
	text, err := json.Marshal(h)
	if err != nil { // a map of texts and numbers always can
		return roster{}, err
	}
	reply, err := beatScript.Run(ctx, b.control, []string{membersKey(group)}, id, ttl.Milliseconds(), text, rand.Text()).Slice()
	if err != nil {
		return roster{}, fmt.Errorf("redisstream: members of group %q: %w", group, unavailable(ctx, err))
	}
	r, err := readRoster(reply)
	if err != nil {
		return roster{}, fmt.Errorf("redisstream: members of group %q: %w", group, err)
	}
	r.peers = append(r.peers, peer{id, h})
	slices.SortFunc(r.peers, func(a, b peer) int { return cmp.Compare(a.id, b.id) })
	return r, nil
}

// readRoster reads the reply of beatScript. A member whose holding cannot be read consumes nothing.
func readRoster(reply []any) (roster, error) {
	if len(reply) < 2 || len(reply)%3 != 2 {
		return roster{}, fmt.Errorf("a reply of %d elements", len(reply))
	}
	born, ok1 := reply[0].(string)
	was, ok2 := reply[1].(int64)
	r := roster{born: born, was: presence(was)}
	for i := 2; i < len(reply); i += 3 {
		id, ok3 := reply[i].(string)
		left, ok4 := reply[i+1].(int64)
		text, ok5 := reply[i+2].(string)
		if !ok3 || !ok4 || !ok5 {
			return roster{}, errors.New("a reply of other types")
		}
		p := peer{id: id}
		if json.NewDecoder(strings.NewReader(text)).Decode(&p.holds) != nil {
			p.holds = nil
		}
		r.peers = append(r.peers, p)
		if d := time.Duration(left) * time.Millisecond; r.next == 0 || d < r.next {
			r.next = d
		}
	}
	if !ok1 || !ok2 {
		return roster{}, errors.New("a reply of other types")
	}
	return r, nil
}
