package redisstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.GroupAdministrator = (*Backend)(nil)

const defaultShow = 4 * time.Second

// showEvery is how often a competing member shows itself, besides reading.
func (b *Backend) showEvery() time.Duration { return cmp.Or(b.shows, defaultShow) }

// seenLately is how long ago a competing member that runs was heard of at most: one show may fail, another be late.
func (b *Backend) seenLately() time.Duration { return 5 * b.showEvery() / 2 }

// Groups implements durable.GroupAdministrator.
func (b *Backend) Groups(ctx context.Context, topic string) ([]string, error) {
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("redisstream: groups of %q: %w", topic, err)
	}
	names := map[string]bool{}
	for p := range n {
		groups, err := b.groupsAt(ctx, newPlace(topic, p, n))
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			names[g.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func (b *Backend) groupsAt(ctx context.Context, p place) ([]redis.XInfoGroup, error) {
	groups, err := b.control.XInfoGroups(ctx, p.key).Result()
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("redisstream: groups of %q: %w", p.topic, unavailable(ctx, err))
	}
	return groups, nil
}

// removeScript removes a group that nobody consumes, and makes it again where a start id is given: KEYS stream, group hash,
// lease; ARGV group, start id or "", milliseconds since which members that run were heard of. The reply is the name of a
// member that consumes, and "" where it is done.
var removeScript = redis.NewScript(makeGroup + `
local owner = redis.call('GET', KEYS[3])
if owner then return owner end
local ordering = redis.call('HGET', KEYS[2], 'ordering') or 'none'
local there = false
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    there = there or info(raw)['name'] == ARGV[1]
  end
end
if there then
  for _, raw in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local c = info(raw)
    if c['idle'] < tonumber(ARGV[3]) then return c['name'] end
  end
  redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
end
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then make(ARGV[1], ordering, ARGV[2]) end
return ''`)

// ResetGroup implements durable.GroupAdministrator. Partitions change one after the other, each in one step with the look
// at its members.
func (b *Backend) ResetGroup(ctx context.Context, group, topic string, start durable.Start) error {
	places, err := b.idle(ctx, group, topic)
	if err != nil {
		return fmt.Errorf("redisstream: reset group %q of %q: %w", group, topic, err)
	}
	ids := make([]string, len(places))
	for i, p := range places {
		// A group without a name does not exist: its start is judged as that of a new one.
		if ids[i], err = b.startID(ctx, durable.Group{}, p, start); err != nil {
			return err
		}
	}
	for i, p := range places {
		if err := b.removeGroup(ctx, group, p, ids[i]); err != nil {
			return fmt.Errorf("redisstream: reset group %q of %q: %w", group, topic, err)
		}
	}
	return nil
}

// DeleteGroup implements durable.GroupAdministrator. Partitions change one after the other, as in ResetGroup.
func (b *Backend) DeleteGroup(ctx context.Context, group, topic string) error {
	places, err := b.idle(ctx, group, topic)
	if err != nil {
		return fmt.Errorf("redisstream: delete group %q of %q: %w", group, topic, err)
	}
	for _, p := range places {
		if err := b.removeGroup(ctx, group, p, ""); err != nil {
			return fmt.Errorf("redisstream: delete group %q of %q: %w", group, topic, err)
		}
	}
	return nil
}

// removeGroup removes group at p, and makes it again behind the entry start unless that is "".
func (b *Backend) removeGroup(ctx context.Context, group string, p place, start string) error {
	keys := []string{p.key, p.groupKey(group), p.leaseKey(group)}
	active, err := removeScript.Run(ctx, b.control, keys, group, start, b.seenLately().Milliseconds()).Text()
	if err != nil {
		return unavailable(ctx, err)
	}
	if active != "" {
		return activeGroup(p, active)
	}
	return nil
}

func activeGroup(p place, member string) error {
	return fmt.Errorf("partition %d, member %q: %w", p.partition, member, durable.ErrGroupActive)
}

// idle is the partitions of topic in which group exists; an error where it is consumed or exists nowhere.
func (b *Backend) idle(ctx context.Context, group, topic string) ([]place, error) {
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return nil, err
	}
	var places []place
	for i := range n {
		p := newPlace(topic, i, n)
		groups, err := b.groupsAt(ctx, p)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(groups, func(g redis.XInfoGroup) bool { return g.Name == group }) {
			continue
		}
		active, err := b.consumed(ctx, group, p)
		if err != nil {
			return nil, err
		}
		if active != "" {
			return nil, activeGroup(p, active)
		}
		places = append(places, p)
	}
	if places == nil {
		return nil, durable.Invalid("group", group, "name a group that has consumed this topic")
	}
	return places, nil
}

// consumed names a member of group that consumes at p, by its lease or by when the server heard of it.
func (b *Backend) consumed(ctx context.Context, group string, p place) (string, error) {
	owner, err := b.control.Get(ctx, p.leaseKey(group)).Result()
	if err == nil {
		return owner, nil
	}
	if !errors.Is(err, redis.Nil) {
		return "", unavailable(ctx, err)
	}
	members, err := b.control.XInfoConsumers(ctx, p.key, group).Result()
	if err != nil && !missing(err) {
		return "", unavailable(ctx, err)
	}
	for _, m := range members {
		if m.Idle < b.seenLately() {
			return m.Name, nil
		}
	}
	return "", nil
}
