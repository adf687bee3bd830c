package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// offsets holds an offset per partition of each topic.
type offsets map[string]map[int32]int64

func (o offsets) set(topic string, partition int32, offset int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = offset
}

// starter stores the start positions of a group with a client of its own, whose calls take no context.
type starter struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
	group  durable.Group
	log    func(topic string, partition int32, from, to int64)
}

const (
	startTries = 10
	startPause = 100 * time.Millisecond
)

// store commits the start of every partition of topics that has no committed offset. A group that is rebalancing
// refuses commits from outside; then another member is storing the same, or the commit is tried again. What could
// not be committed is returned: the caller commits it as a member.
func (s *starter) store(ctx context.Context, topics []durable.TopicStart) (offsets, error) {
	for try := 1; ; try++ {
		missing, err := s.missing(topics)
		if err != nil || len(missing) == 0 {
			return nil, err
		}
		err = s.commit(missing)
		if err == nil {
			return nil, nil
		}
		if !errors.Is(err, sarama.ErrUnknownMemberId) && !errors.Is(err, sarama.ErrIllegalGeneration) &&
			!errors.Is(err, sarama.ErrRebalanceInProgress) {
			return nil, err
		}
		if try == startTries {
			return missing, nil
		}
		select {
		case <-time.After(startPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// missing resolves the starts of partitions without a committed offset. An expired position is
// ErrPositionExpired, or the oldest record by policy.
func (s *starter) missing(topics []durable.TopicStart) (offsets, error) {
	out := offsets{}
	for _, t := range topics {
		if err := s.client.RefreshMetadata(t.Topic); err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.Topic, err)
		}
		partitions, err := s.client.Partitions(t.Topic)
		if err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.Topic, err)
		}
		stored, err := s.admin.ListConsumerGroupOffsets(s.group.Name, map[string][]int32{t.Topic: partitions})
		if err != nil {
			return nil, err
		}
		for _, p := range partitions {
			block := stored.GetBlock(t.Topic, p)
			if block != nil && block.Offset >= 0 {
				if err := s.check(t.Topic, p, block.Offset); err != nil {
					return nil, err
				}
				continue
			}
			at, err := resolve(s.client, t.Topic, p, t.Start.Or(s.group.Start))
			if errors.Is(err, durable.ErrPositionExpired) && s.group.OnExpired == durable.ExpiredOldest {
				s.log(t.Topic, p, -1, at)
				err = nil
			}
			if err != nil {
				return nil, err
			}
			out.set(t.Topic, p, at)
		}
	}
	return out, nil
}

// check reports an offset of the group that is no longer stored.
func (s *starter) check(topic string, partition int32, offset int64) error {
	oldest, newest, err := bounds(s.client, topic, partition)
	if err != nil || offset >= oldest && offset <= newest {
		return err
	}
	if s.group.OnExpired == durable.ExpiredOldest {
		s.log(topic, partition, offset, oldest)
		return nil // sarama begins at Offsets.Initial
	}
	return expired(topic, partition, offset, oldest, newest)
}

func translateStart(err error) error {
	if errors.Is(err, durable.ErrInvalid) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return translate(err)
}

func expired(topic string, partition int32, offset, oldest, newest int64) error {
	return fmt.Errorf("offset %d of %s/%d is outside %d to %d: %w", offset, topic, partition, oldest, newest, durable.ErrPositionExpired)
}

func (s *starter) commit(at offsets) error {
	req := map[string]map[int32]sarama.OffsetAndMetadata{}
	for topic, ps := range at {
		req[topic] = map[int32]sarama.OffsetAndMetadata{}
		for p, offset := range ps {
			req[topic][p] = sarama.OffsetAndMetadata{Offset: offset, LeaderEpoch: -1}
		}
	}
	resp, err := s.admin.AlterConsumerGroupOffsets(s.group.Name, req, nil)
	if err != nil {
		return err
	}
	for _, ps := range resp.Errors {
		for _, code := range ps {
			if !errors.Is(code, sarama.ErrNoError) {
				return code
			}
		}
	}
	return nil
}

// offsetAt asks the leader for an offset, again while the leader is being found or takes office.
func offsetAt(client sarama.Client, topic string, partition int32, at int64) (offset int64, err error) {
	err = settled(client, topic, func() error {
		offset, err = client.GetOffset(topic, partition, at)
		return err
	})
	return offset, err
}

// settled repeats do while the leaders of topic change.
func settled(client sarama.Client, topic string, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		changing := errors.Is(err, sarama.ErrNotLeaderForPartition) || errors.Is(err, sarama.ErrLeaderNotAvailable)
		if !changing || try == startTries {
			return err
		}
		time.Sleep(startPause)
		_ = client.RefreshMetadata(topic)
	}
}

func bounds(client sarama.Client, topic string, partition int32) (oldest, newest int64, err error) {
	if newest, err = offsetAt(client, topic, partition, sarama.OffsetNewest); err != nil {
		return 0, 0, err
	}
	oldest, err = offsetAt(client, topic, partition, sarama.OffsetOldest)
	return oldest, newest, err
}

// resolve is the offset at which start begins. With ErrPositionExpired comes the oldest offset.
func resolve(client sarama.Client, topic string, partition int32, start durable.Start) (int64, error) {
	oldest, newest, err := bounds(client, topic, partition)
	if err != nil {
		return 0, err
	}
	switch start.Kind() {
	case durable.StartNewest:
		return newest, nil
	case durable.StartAt:
		at, err := offsetAt(client, topic, partition, start.Time().UnixMilli())
		if err == nil && at < 0 {
			at = newest
		}
		return at, err
	case durable.StartAfter:
		seen, ok, err := cursorOffset(start.Cursor(), partition)
		if err != nil || !ok {
			return oldest, err
		}
		if next := seen + 1; next >= oldest && next <= newest {
			return next, nil
		}
		return oldest, expired(topic, partition, seen+1, oldest, newest)
	}
	return oldest, nil
}
