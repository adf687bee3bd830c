package kafka

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// partitionsOf holds partitions by topic.
type partitionsOf map[string][]int32

func (p partitionsOf) has(topic string, partition int32) bool {
	return slices.Contains(p[topic], partition)
}

// place is what a join came to.
type place struct {
	generation int32
	since      time.Time // when the coordinator heard of the member last, or earlier
	claims     partitionsOf
	counts     map[string]int // partitions of the topics that this member planned for, nil where another one did
}

// join joins the group for topics, as the owner of what the member holds, and returns its new partitions. It waits for
// the other members. An error for which unseated is true means that what the member holds is not its own any more.
func (s *seat) join(topics []string, owned partitionsOf) (p place, err error) {
	s.mark(true)
	defer s.mark(false)
	err = patiently(unsettled, func() error {
		p, err = s.joinOnce(topics, owned)
		if errors.Is(err, sarama.ErrMemberIdRequired) {
			p, err = s.joinOnce(topics, owned)
		}
		return err
	})
	return p, err
}

func (s *seat) mark(joining bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joining = joining
}

func (s *seat) joinOnce(topics []string, owned partitionsOf) (place, error) {
	s.mu.Lock()
	leaving := s.leaving
	s.mu.Unlock()
	if leaving {
		return place{}, errLeft
	}
	b, err := s.connection(&s.joins, s.slow)
	if err != nil {
		return place{}, err
	}
	p, err := s.joinOn(b, topics, owned)
	return p, s.judge(&s.joins, b, err)
}

func (s *seat) joinOn(b *sarama.Broker, topics []string, owned partitionsOf) (place, error) {
	req, err := s.joinRequest(topics, owned)
	if err != nil {
		return place{}, err
	}
	joined, err := b.JoinGroup(req)
	if err != nil {
		return place{}, err
	}
	if err := code(joined.Err); err != nil {
		if errors.Is(err, sarama.ErrMemberIdRequired) {
			s.mu.Lock()
			s.id = joined.MemberId
			s.mu.Unlock()
		}
		return place{}, fmt.Errorf("join: %w", err)
	}
	sync := &sarama.SyncGroupRequest{
		Version: 5, GroupId: s.group, GenerationId: joined.GenerationId, MemberId: joined.MemberId, GroupInstanceId: s.instance,
		ProtocolType: new("consumer"), ProtocolName: new(s.strategy.Name()),
	}
	p := place{generation: joined.GenerationId}
	if joined.LeaderId == joined.MemberId {
		if p.counts, err = s.plan(joined, sync); err != nil {
			return place{}, err
		}
	}
	return p, s.sync(b, sync, &p)
}

func (s *seat) joinRequest(topics []string, owned partitionsOf) (*sarama.JoinGroupRequest, error) {
	now := s.now()
	req := &sarama.JoinGroupRequest{
		Version: 7, GroupId: s.group, MemberId: now.id, GroupInstanceId: s.instance, ProtocolType: "consumer",
		SessionTimeout:   int32(s.session.Milliseconds()),
		RebalanceTimeout: int32(s.rebalance.Milliseconds()),
	}
	meta := &sarama.ConsumerGroupMemberMetadata{Version: 2, Topics: topics, GenerationID: now.generation}
	for _, topic := range slices.Sorted(maps.Keys(owned)) {
		partitions := slices.Sorted(slices.Values(owned[topic]))
		meta.OwnedPartitions = append(meta.OwnedPartitions, &sarama.OwnedPartition{Topic: topic, Partitions: partitions})
	}
	if sub, ok := s.strategy.(sarama.SubscriptionUserDataBalanceStrategy); ok {
		var err error
		if meta.UserData, err = sub.SubscriptionUserData(topics); err != nil {
			return nil, err
		}
	}
	return req, req.AddGroupProtocolMetadata(s.strategy.Name(), meta)
}

// plan is the leader's part: it fills req with who gets what. A topic that is gone has no partitions.
func (s *seat) plan(joined *sarama.JoinGroupResponse, req *sarama.SyncGroupRequest) (map[string]int, error) {
	members, err := joined.GetMembers()
	if err != nil {
		return nil, err
	}
	topics := map[string][]int32{}
	counts := map[string]int{}
	for _, m := range members {
		for _, topic := range m.Topics {
			if _, known := counts[topic]; known {
				continue
			}
			if topics[topic], err = freshPartitions(s.client, topic); err != nil {
				return nil, err
			}
			counts[topic] = len(topics[topic])
		}
	}
	plan, err := s.strategy.Plan(members, topics)
	if err != nil {
		return nil, err
	}
	for id := range members {
		err := req.AddGroupAssignmentMember(id, &sarama.ConsumerGroupMemberAssignment{Topics: plan[id]})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// freshPartitions asks the brokers for the partitions of topic; there are none where it does not exist.
func freshPartitions(client sarama.Client, topic string) ([]int32, error) {
	err := client.RefreshMetadata(topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return nil, nil
	}
	if err != nil && !errors.Is(err, sarama.ErrLeaderNotAvailable) { // a partition without a leader is one, too
		return nil, err
	}
	return client.Partitions(topic)
}

// sync takes what the leader planned.
func (s *seat) sync(b *sarama.Broker, req *sarama.SyncGroupRequest, p *place) error {
	s.mu.Lock() // so that an answer to a heartbeat of the generation before is known as such
	s.id, s.generation = req.MemberId, req.GenerationId
	s.mu.Unlock()
	p.since = time.Now()
	resp, err := b.SyncGroup(req)
	if err != nil {
		return err
	}
	if err := code(resp.Err); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	assigned := &sarama.ConsumerGroupMemberAssignment{}
	if len(resp.MemberAssignment) > 0 {
		if assigned, err = resp.GetMemberAssignment(); err != nil {
			return err
		}
	}
	if on, ok := s.strategy.(sarama.OnAssignmentBalanceStrategy); ok {
		on.OnAssignment(assigned, req.GenerationId)
	}
	p.claims = assigned.Topics
	return nil
}
