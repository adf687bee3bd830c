package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// saved is what a group keeps for a partition: the offset of the next record, and how often what comes there was
// handed out already.
type saved struct {
	offset int64
	note   string
}

// savedOf holds what is saved by topic and partition.
type savedOf map[string]map[int32]saved

func (o savedOf) set(topic string, partition int32, s saved) {
	if o[topic] == nil {
		o[topic] = map[int32]saved{}
	}
	o[topic][partition] = s
}

// stored asks the group for its offsets; offset -1 where it has none. It waits for open transactions that commit
// offsets.
func (s *seat) stored(of partitionsOf) (savedOf, error) {
	out := savedOf{}
	err := patiently(unsettled, func() error {
		b, err := s.connection(&s.side, s.quick)
		if err != nil {
			return err
		}
		req := sarama.NewOffsetFetchRequest(sarama.V2_8_0_0, s.group, of)
		req.RequireStable = true
		resp, err := b.FetchOffset(req)
		if err == nil {
			err = readStored(resp, of, out)
		}
		return s.judge(&s.side, b, err)
	})
	return out, err
}

func readStored(resp *sarama.OffsetFetchResponse, of partitionsOf, out savedOf) error {
	if err := code(resp.Err); err != nil {
		return err
	}
	for topic, partitions := range of {
		for _, p := range partitions {
			block := resp.GetBlock(topic, p)
			if block == nil {
				return fmt.Errorf("no offset of %s/%d: %w", topic, p, sarama.ErrIncompleteResponse)
			}
			if err := code(block.Err); err != nil {
				return fmt.Errorf("offset of %s/%d: %w", topic, p, err)
			}
			out.set(topic, p, saved{block.Offset, block.Metadata})
		}
	}
	return nil
}

// save stores offsets that are right under m: where that is over, somebody else may have stored newer ones. Those that were stored are given to done, also where the error is not nil.
func (s *seat) save(m membership, at savedOf, done func(topic string, partition int32, v saved)) error {
	if m.generation < 0 {
		return errNotJoined
	}
	b, err := s.connection(&s.side, s.quick)
	if err != nil {
		return err
	}
	req := &sarama.OffsetCommitRequest{
		Version: 8, ConsumerGroup: s.group, ConsumerID: m.id, ConsumerGroupGeneration: m.generation, GroupInstanceId: s.instance,
	}
	for topic, ps := range at {
		for p, v := range ps {
			req.AddBlockWithLeaderEpoch(topic, p, v.offset, -1, 0, v.note)
		}
	}
	resp, err := b.CommitOffset(req)
	if err != nil {
		return s.judge(&s.side, b, err)
	}
	var errs error
	for topic, ps := range at {
		for p, v := range ps {
			if err := code(resp.Errors[topic][p]); err != nil {
				errs = errors.Join(errs, fmt.Errorf("commit %s/%d: %w", topic, p, err))
				continue
			}
			done(topic, p, v)
		}
	}
	if errors.Is(errs, sarama.ErrIllegalGeneration) && (m.joining || s.now() != m) {
		return fmt.Errorf("%w: %w", sarama.ErrRebalanceInProgress, errs) // not the end, but a new beginning
	}
	return s.judge(&s.side, b, errs)
}
