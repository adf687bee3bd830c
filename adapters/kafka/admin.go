package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const topicPause = 20 * time.Millisecond // between looks at a topic that is being made

// ask runs do, which takes no context, as a call in flight.
func (b *Backend) ask(ctx context.Context, do func() error) error {
	if err := b.enter(&b.calls); err != nil {
		return err
	}
	ended := make(chan error, 1) // do may end when nobody waits any more
	b.wg.Go(func() { ended <- do() })
	defer b.calls.Done()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.life.Done():
		return durable.ErrClosed
	}
}

// CreateTopic implements durable.Administrator. It returns when the topic can be appended to. MaxLen is not
// supported.
func (b *Backend) CreateTopic(ctx context.Context, spec durable.TopicSpec) error {
	if err := durable.CheckTopic(spec.Name); err != nil {
		return fmt.Errorf("kafka: create topic: %w", err)
	}
	if spec.MaxLen != 0 {
		return fmt.Errorf("kafka: create topic %q: MaxLen: %w: Kafka trims by age, use Retention", spec.Name, durable.ErrUnsupported)
	}
	def(&spec.Partitions, b.cfg.Partitions)
	def(&spec.Replication, b.cfg.Replication)
	err := b.ask(ctx, func() error { return b.create(ctx, spec) })
	if err != nil {
		return fmt.Errorf("kafka: create topic %q: %w", spec.Name, err)
	}
	return nil
}

func (b *Backend) create(ctx context.Context, spec durable.TopicSpec) error {
	detail := &sarama.TopicDetail{NumPartitions: int32(spec.Partitions), ReplicationFactor: int16(spec.Replication)}
	if spec.Retention > 0 {
		ms := strconv.FormatInt(spec.Retention.Milliseconds(), 10)
		detail.ConfigEntries = map[string]*string{"retention.ms": &ms}
	}
	deleted, _ := incarnation(b.client, spec.Name) // where there is one, and a broker has not heard of its end yet
	err := b.admin.CreateTopic(spec.Name, detail, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return translateStart(denied(err, opCreate))
	}
	if err != nil {
		deleted = "" // it is that one
	}
	n, err := b.visible(ctx, spec.Name, deleted)
	if err == nil && n != spec.Partitions {
		err = fmt.Errorf("with %d partitions, not %d: %w", n, spec.Partitions, durable.ErrTopicExists)
	}
	return err
}

// visible waits until a broker tells of topic and its leaders, and the client as that broker does, and returns its number
// of partitions. The incarnation deleted, "" for none, is not meant: an append to it would go with it.
func (b *Backend) visible(ctx context.Context, topic, deleted string) (int, error) {
	for {
		n, err := b.told(topic, deleted)
		if n > 0 && err == nil {
			return n, nil
		}
		if err != nil && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) && !errors.Is(err, sarama.ErrLeaderNotAvailable) {
			return 0, translate(err)
		}
		select {
		case <-time.After(topicPause):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-b.life.Done():
			return 0, durable.ErrClosed
		}
	}
}

// told is the number of partitions of topic where a broker tells of it, of another incarnation than deleted, with all
// leaders, and the client, which may ask another broker, has heard the same; else 0. A leader may not have heard of it yet.
func (b *Backend) told(topic, deleted string) (int, error) {
	resp, err := oneAnswer(b.client, topic)
	if err != nil {
		return 0, err
	}
	found, err := incarnationsIn(resp)
	if id, ok := found[topic]; err != nil || !ok || id != "" && id == deleted {
		return 0, err
	}
	if err := b.client.RefreshMetadata(topic); err != nil {
		return 0, err
	}
	told := resp.Topics[0].Partitions
	if known, err := b.client.Partitions(topic); err != nil || len(known) != len(told) {
		return 0, err
	}
	for _, p := range told {
		leader, epoch, err := b.client.LeaderAndEpoch(topic, p.ID)
		if err != nil || leader.ID() != p.Leader || epoch != p.LeaderEpoch {
			return 0, err
		}
	}
	_, _, err = bounds(b.client, topic, int32(len(told)-1)) // the leader is in office
	return len(told), err
}

// DeleteTopic implements durable.Administrator.
func (b *Backend) DeleteTopic(ctx context.Context, topic string) error {
	err := b.ask(ctx, func() error { return b.admin.DeleteTopic(topic) })
	if err != nil {
		return fmt.Errorf("kafka: delete topic %q: %w", topic, translateStart(denied(err, opDelete)))
	}
	return nil
}

// DescribeTopic implements durable.Administrator. Records are upper bounds: compaction and transactions leave holes.
func (b *Backend) DescribeTopic(ctx context.Context, topic string) (durable.TopicInfo, error) {
	info := durable.TopicInfo{Name: topic}
	var found []durable.PartitionInfo
	err := b.ask(ctx, func() error {
		partitions, err := b.partitions(topic)
		if err != nil {
			return err
		}
		id, err := incarnation(b.client, topic)
		for _, p := range partitions {
			oldest, newest, err := bounds(b.client, topic, p)
			if err != nil {
				return err
			}
			x := durable.PartitionInfo{Partition: int(p), Records: newest - oldest}
			if x.Records > 0 {
				x.Oldest, x.Newest = position(p, oldest, id), position(p, newest-1, id)
			}
			found = append(found, x)
		}
		return err
	})
	if err != nil {
		return info, fmt.Errorf("kafka: describe topic %q: %w", topic, translateStart(denied(err, opDescribe)))
	}
	info.Partitions = found
	return info, nil
}

func (b *Backend) partitions(topic string) ([]int32, error) {
	if err := b.client.RefreshMetadata(topic); err != nil {
		return nil, unnamed(err)
	}
	return b.client.Partitions(topic)
}

// Health implements durable.HealthChecker: a broker answers, the cluster has a controller, and no member of this backend is
// denied what it needs.
func (b *Backend) Health(ctx context.Context) error {
	err := b.ask(ctx, func() error {
		brokers, _, err := b.admin.DescribeCluster()
		if err == nil && len(brokers) == 0 {
			err = sarama.ErrBrokerNotAvailable
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: health: %w", translateStart(denied(err, opDescribe)))
	}
	return b.refusedMembers()
}

// refusedMembers is what members of this backend are denied now.
func (b *Backend) refusedMembers() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for c := range b.consumers {
		c.mu.Lock()
		errs = append(errs, c.refusal)
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}
