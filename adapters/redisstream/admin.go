package redisstream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.Administrator = (*Backend)(nil)

// createTopicScript has the hash of the topic as KEYS[1], its plain key as KEYS[2], and the number of partitions, the
// maximum length and the retention in milliseconds.
// The reply is the number that the topic has, 0 where its plain key holds something already.
const createTopicScript = `
local have = redis.call('HGET', KEYS[1], 'partitions')
if have then return tonumber(have) end
local kind, n = redis.call('TYPE', KEYS[2]).ok, tonumber(ARGV[1])
if kind ~= 'none' and kind ~= 'stream' then return 0 end
if n > 1 then
  if kind == 'stream' and (redis.call('XLEN', KEYS[2]) > 0 or #redis.call('XINFO', 'GROUPS', KEYS[2]) > 0) then return 0 end
  redis.call('DEL', KEYS[2])
  redis.call('SET', KEYS[2], 'a topic of ' .. n .. ' partitions')
end
redis.call('HSET', KEYS[1], 'partitions', n, 'max_len', ARGV[2], 'retention_ms', ARGV[3])
return n`

// CreateTopic implements durable.Administrator. Partitions default to 1. A retention and a maximum length, of each
// partition, stand instead of the configured ones; replication is the server's. A stream that holds entries or groups
// has one partition.
func (b *Backend) CreateTopic(ctx context.Context, spec durable.TopicSpec) error {
	n := max(spec.Partitions, 1)
	if err := b.checkSpec(spec, n); err != nil {
		return fmt.Errorf("redisstream: create topic: %w", err)
	}
	have, err := b.control.Eval(ctx, createTopicScript, []string{topicKey(spec.Name), spec.Name},
		n, spec.MaxLen, spec.Retention.Milliseconds()).Int()
	if err != nil {
		return fmt.Errorf("redisstream: create topic %q: %w", spec.Name, unavailable(ctx, err))
	}
	if have == 0 {
		return fmt.Errorf("redisstream: create topic %q with %d partitions: its key is in use: %w", spec.Name, n, durable.ErrTopicExists)
	}
	b.shapes.expect(spec.Name, have)
	if have != n {
		return fmt.Errorf("redisstream: create topic %q with %d partitions: it has %d, and another number would break the order of its keys: "+
			"create another topic and copy the events, or delete this one: %w", spec.Name, n, have, durable.ErrTopicExists)
	}
	if b.cfg.OnlyExisting {
		return b.makeStreams(ctx, spec.Name, n)
	}
	return nil
}

// makeStreams makes the streams of a topic that do not exist, without entries.
func (b *Backend) makeStreams(ctx context.Context, topic string, n int) error {
	const group = "ds:made" // a stream can only be made empty with a group
	for p := range n {
		_, err := b.control.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			key := streamKey(topic, p, n)
			tx.XGroupCreateMkStream(ctx, key, group, "$")
			tx.XGroupDestroy(ctx, key, group)
			return nil
		})
		if err != nil {
			return fmt.Errorf("redisstream: create topic %q: %w", topic, unavailable(ctx, err))
		}
	}
	return nil
}

func (b *Backend) checkSpec(spec durable.TopicSpec, n int) error {
	if b.closed() {
		return durable.ErrClosed
	}
	if err := durable.CheckTopic(spec.Name); err != nil {
		return err
	}
	if spec.Partitions < 0 || n > mostPartitions {
		return durable.Invalid("partitions", strconv.Itoa(spec.Partitions), fmt.Sprintf("use 1 to %d", mostPartitions))
	}
	if spec.MaxLen < 0 {
		return durable.Invalid("max_len", strconv.FormatInt(spec.MaxLen, 10), "use 0 or more")
	}
	if spec.Retention < 0 || spec.Retention > 0 && spec.Retention < time.Millisecond {
		return durable.Invalid("retention", spec.Retention.String(), "use at least 1ms")
	}
	return nil
}

// DeleteTopic implements durable.Administrator. Groups, their positions and what was not handled go with the topic.
func (b *Backend) DeleteTopic(ctx context.Context, topic string) error {
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return fmt.Errorf("redisstream: delete topic %q: %w", topic, err)
	}
	for i := range n {
		p := newPlace(topic, i, n)
		groups, err := b.groupsAt(ctx, p)
		if err != nil {
			return err
		}
		keys := []string{p.key}
		for _, g := range groups {
			keys = append(keys, p.groupKey(g.Name))
		}
		if err := b.control.Del(ctx, keys...).Err(); err != nil {
			return fmt.Errorf("redisstream: delete topic %q: %w", topic, unavailable(ctx, err))
		}
	}
	if err := b.control.Del(ctx, topic, topicKey(topic)).Err(); err != nil {
		return fmt.Errorf("redisstream: delete topic %q: %w", topic, unavailable(ctx, err))
	}
	b.shapes.forget(topic)
	return nil
}

// DescribeTopic implements durable.Administrator.
func (b *Backend) DescribeTopic(ctx context.Context, topic string) (durable.TopicInfo, error) {
	n, infos, err := b.find(ctx, topic)
	if err != nil {
		return durable.TopicInfo{}, fmt.Errorf("redisstream: describe topic %q: %w", topic, err)
	}
	out := durable.TopicInfo{Name: topic, Partitions: make([]durable.PartitionInfo, n)}
	for p, info := range infos {
		out.Partitions[p] = durable.PartitionInfo{Partition: p, Records: info.Length}
		if info.Length > 0 {
			out.Partitions[p].Oldest = position(info.FirstEntry.ID, p, n)
			out.Partitions[p].Newest = position(info.LastEntry.ID, p, n)
		}
	}
	return out, nil
}

// find returns the streams of a topic; ErrTopicNotFound where it has no shape and no stream.
func (b *Backend) find(ctx context.Context, topic string) (int, []*redis.XInfoStream, error) {
	n, created, err := b.shapeOf(ctx, topic)
	if err != nil {
		return 0, nil, err
	}
	infos := make([]*redis.XInfoStream, n)
	for p := range n {
		info, exists, err := b.info(ctx, streamKey(topic, p, n))
		if err != nil {
			return 0, nil, err
		}
		created = created || exists
		infos[p] = info
	}
	if !created {
		return 0, nil, durable.ErrTopicNotFound
	}
	return n, infos, nil
}

// shapeOf asks the server, past the cache, for the number of partitions of topic and whether it was created.
func (b *Backend) shapeOf(ctx context.Context, topic string) (n int, created bool, err error) {
	if b.closed() {
		return 0, false, durable.ErrClosed
	}
	if err := durable.CheckTopic(topic); err != nil {
		return 0, false, err
	}
	seen := b.shapes.seen()
	n, created, keep, err := b.lookUp(ctx, topic)
	if err != nil {
		return 0, false, err
	}
	if created { // what the server forgot is stored again by those who know it
		b.shapes.refresh(topic, seen, n, keep)
	}
	return n, created, nil
}

// info describes a stream; one that does not exist is empty.
func (b *Backend) info(ctx context.Context, key string) (info *redis.XInfoStream, exists bool, err error) {
	info, err = b.control.XInfoStream(ctx, key).Result()
	switch {
	case err == nil:
		return info, true, nil
	case missing(err):
		return &redis.XInfoStream{LastGeneratedID: beginning}, false, nil
	default:
		return nil, false, unavailable(ctx, err)
	}
}
