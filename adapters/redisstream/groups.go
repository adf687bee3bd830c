package redisstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.GroupAdministrator = (*Backend)(nil)

// seenLately is how long ago a competing member that runs was heard of at most: it reads anew after every readBlock.
const seenLately = 8 * readBlock

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
		return nil, fmt.Errorf("redisstream: groups of %q: %w", p.topic, unavailable(err))
	}
	return groups, nil
}

// ResetGroup implements durable.GroupAdministrator. Partitions change one after the other.
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
		mode, err := b.control.HGet(ctx, p.groupKey(group), "ordering").Result()
		if errors.Is(err, redis.Nil) {
			mode, err = competingMode, nil
		}
		if err != nil {
			return fmt.Errorf("redisstream: reset group %q of %q: %w", group, topic, unavailable(err))
		}
		_, err = b.control.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			tx.XGroupDestroy(ctx, p.key, group)
			tx.Del(ctx, p.groupKey(group))
			enrollScript.Eval(ctx, tx, []string{p.key, p.groupKey(group)}, group, mode, ids[i])
			return nil
		})
		if err != nil {
			return fmt.Errorf("redisstream: reset group %q of %q: %w", group, topic, unavailable(err))
		}
	}
	return nil
}

// DeleteGroup implements durable.GroupAdministrator.
func (b *Backend) DeleteGroup(ctx context.Context, group, topic string) error {
	places, err := b.idle(ctx, group, topic)
	if err != nil {
		return fmt.Errorf("redisstream: delete group %q of %q: %w", group, topic, err)
	}
	for _, p := range places {
		_, err := b.control.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			tx.XGroupDestroy(ctx, p.key, group)
			tx.Del(ctx, p.groupKey(group))
			return nil
		})
		if err != nil {
			return fmt.Errorf("redisstream: delete group %q of %q: %w", group, topic, unavailable(err))
		}
	}
	return nil
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
			return nil, fmt.Errorf("partition %d, member %q: %w", i, active, durable.ErrGroupActive)
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
		return "", unavailable(err)
	}
	members, err := b.control.XInfoConsumers(ctx, p.key, group).Result()
	if err != nil && !missing(err) {
		return "", unavailable(err)
	}
	for _, m := range members {
		if m.Idle < seenLately {
			return m.Name, nil
		}
	}
	return "", nil
}
