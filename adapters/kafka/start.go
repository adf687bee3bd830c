package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// merged is o without the topics that are not in topics, and with what more has besides: an older start wins.
func (o offsets) merged(more offsets, topics []string) offsets {
	out := offsets{}
	for _, from := range []offsets{more, o} {
		for topic, ps := range from {
			if !slices.Contains(topics, topic) {
				continue
			}
			for p, at := range ps {
				out.set(topic, p, at)
			}
		}
	}
	return out
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

// store commits the start of every partition of topics that has no committed offset. A group that has members refuses
// commits from outside: then the starts are returned, and the caller commits them as a member.
func (s *starter) store(topics []durable.TopicStart) (offsets, error) {
	first, err := s.missing(topics)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	starts, err := s.resolve(topics, first)
	if err != nil {
		return nil, err
	}
	// Again, because another member may have stored its starts meanwhile and returned: what it stored after these
	// here were resolved is not older, so that what these overwrite loses nothing.
	still, err := s.missing(topics)
	if err != nil {
		return nil, err
	}
	missing := offsets{}
	for topic, ps := range still {
		for p := range ps {
			if at, ok := starts[topic][p]; ok {
				missing.set(topic, p, at)
			}
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	err = commitFromOutside(s.admin, s.group.Name, missing)
	if unseated(err) || unsettled(err) {
		return missing, nil
	}
	return nil, err
}

// missing are the partitions without a committed offset. A committed one that is not stored any more is
// ErrPositionExpired, unless the policy is to go on.
func (s *starter) missing(topics []durable.TopicStart) (offsets, error) {
	out := offsets{}
	for _, t := range topics {
		if err := s.client.RefreshMetadata(t.Topic); err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.Topic, unnamed(err))
		}
		partitions, err := s.client.Partitions(t.Topic)
		if err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.Topic, unnamed(err))
		}
		stored, err := s.admin.ListConsumerGroupOffsets(s.group.Name, map[string][]int32{t.Topic: partitions})
		if err != nil {
			return nil, err
		}
		for _, p := range partitions {
			block := stored.GetBlock(t.Topic, p)
			if block != nil && code(block.Err) != nil {
				return nil, fmt.Errorf("offset of %s/%d: %w", t.Topic, p, block.Err)
			}
			if block == nil || block.Offset < 0 {
				out.set(t.Topic, p, -1)
				continue
			}
			if err := s.check(t.Topic, p, block.Offset); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// resolve finds the starts of partitions. An expired one is ErrPositionExpired, or the oldest record by policy.
func (s *starter) resolve(topics []durable.TopicStart, of offsets) (offsets, error) {
	out := offsets{}
	for _, t := range topics {
		for p := range of[t.Topic] {
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
		return nil // the reader finds out, too
	}
	return expired(topic, partition, offset, oldest, newest)
}

func translateStart(err error) error {
	if errors.Is(err, durable.ErrInvalid) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return translate(err)
}

// commitFromOutside stores offsets of a group without members.
func commitFromOutside(admin sarama.ClusterAdmin, group string, at offsets) error {
	req := map[string]map[int32]sarama.OffsetAndMetadata{}
	for topic, ps := range at {
		req[topic] = map[int32]sarama.OffsetAndMetadata{}
		for p, offset := range ps {
			req[topic][p] = sarama.OffsetAndMetadata{Offset: offset, LeaderEpoch: -1}
		}
	}
	resp, err := admin.AlterConsumerGroupOffsets(group, req, nil)
	if err != nil {
		return err
	}
	for topic, ps := range resp.Errors {
		for p, answer := range ps {
			if err := code(answer); err != nil {
				return fmt.Errorf("store the start of %s/%d: %w", topic, p, err)
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
		seen, ok, err := cursorOffset(client, topic, start.Cursor(), partition)
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

// saveStarts commits, as a member, the starts that could not be committed from outside. Where the group has an offset
// by now, that one holds.
func (c *consumer) saveStarts() error {
	defer c.oneAtATime()()
	under := c.seat.now()
	c.mu.Lock()
	starts, of := c.pending, partitionsOf{}
	for topic, ps := range starts {
		for p := range ps {
			of[topic] = append(of[topic], p)
		}
	}
	c.mu.Unlock()
	if len(of) == 0 {
		return nil
	}
	has, err := c.seat.stored(of)
	if err != nil {
		return err
	}
	at, settled := savedOf{}, offsets{}
	for topic, ps := range of {
		for _, p := range ps {
			if has[topic][p].offset >= 0 {
				settled.set(topic, p, 0)
				continue
			}
			at.set(topic, p, saved{offset: starts[topic][p]})
		}
	}
	if len(at) > 0 {
		err = c.seat.save(under, at, func(topic string, p int32, _ saved) { settled.set(topic, p, 0) })
	}
	c.forgetStarts(settled)
	return err
}

// forgetStarts takes what is settled from the pending starts.
func (c *consumer) forgetStarts(settled offsets) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := offsets{}
	for topic, ps := range c.pending {
		for p, at := range ps {
			if _, done := settled[topic][p]; !done {
				left.set(topic, p, at)
			}
		}
	}
	c.pending = left
	c.tell()
}
