package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.GroupAdministrator = (*Backend)(nil)

// describe is what the coordinator knows of group.
func (b *Backend) describe(group string) (*sarama.GroupDescription, error) {
	var found *sarama.GroupDescription
	for try := 1; ; try++ {
		ds, err := b.admin.DescribeConsumerGroups([]string{group})
		if err == nil && len(ds) != 1 {
			err = sarama.ErrIncompleteResponse
		}
		if err == nil {
			found, err = ds[0], code(ds[0].Err)
		}
		if errors.Is(err, sarama.ErrGroupIDNotFound) {
			return &sarama.GroupDescription{GroupId: group, State: "Dead"}, nil
		}
		if !unsettled(err) || try == startTries {
			return found, err
		}
		_ = b.client.RefreshCoordinator(group)
	}
}

func assignedTo(m *sarama.GroupMemberDescription) partitionsOf {
	if len(m.MemberAssignment) == 0 {
		return nil
	}
	a, err := m.GetMemberAssignment()
	if err != nil || a == nil {
		return nil // of another protocol
	}
	return a.Topics
}

// nameOf is Group.Member, where the member is of this package and has one.
func (b *Backend) nameOf(m *sarama.GroupMemberDescription) string {
	if m.GroupInstanceId != nil {
		return *m.GroupInstanceId
	}
	if name, ok := strings.CutPrefix(m.ClientId, b.cfg.ClientID+"-"); ok {
		return name
	}
	return m.MemberId
}

// Groups implements durable.GroupAdministrator.
func (b *Backend) Groups(ctx context.Context, topic string) ([]string, error) {
	var found []string
	err := b.ask(ctx, func() (err error) {
		found, err = b.groups(topic)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: groups of %q: %w", topic, translateStart(denied(err, opDescribe)))
	}
	return found, nil
}

func (b *Backend) groups(topic string) ([]string, error) {
	ps, err := b.partitions(topic)
	if err != nil {
		return nil, err
	}
	all, err := b.admin.ListConsumerGroups()
	if err != nil {
		return nil, err
	}
	return b.groupsIn(topic, ps, slices.Sorted(maps.Keys(all)))
}

// groupsIn are those of groups that have an offset in topic.
func (b *Backend) groupsIn(topic string, ps []int32, groups []string) ([]string, error) {
	var out []string
	for _, g := range groups {
		stored, err := b.admin.ListConsumerGroupOffsets(g, map[string][]int32{topic: ps})
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(ps, func(p int32) bool {
			block := stored.GetBlock(topic, p)
			return block != nil && block.Offset >= 0
		}) {
			out = append(out, g)
		}
	}
	return out, nil
}

// ResetGroup implements durable.GroupAdministrator. Kafka refuses it while the group has members, whatever their topics.
func (b *Backend) ResetGroup(ctx context.Context, group, topic string, start durable.Start) error {
	err := b.ask(ctx, func() error {
		ps, err := b.partitions(topic)
		if err != nil {
			return err
		}
		at := offsets{}
		for _, p := range ps {
			offset, err := resolve(b.client, topic, p, start)
			if err != nil {
				return err
			}
			at.set(topic, p, offset)
		}
		if err := b.known(group, topic, ps); err != nil {
			return err
		}
		return commitFromOutside(b.admin, group, at)
	})
	if err != nil {
		return fmt.Errorf("kafka: reset group %q in %q: %w", group, topic, groupError(err))
	}
	return nil
}

// DeleteGroup implements durable.GroupAdministrator.
func (b *Backend) DeleteGroup(ctx context.Context, group, topic string) error {
	err := b.ask(ctx, func() error {
		ps, err := b.partitions(topic)
		if err == nil {
			err = b.known(group, topic, ps)
		}
		if err != nil {
			return err
		}
		for _, p := range ps {
			gone := b.admin.DeleteConsumerGroupOffset(group, topic, p)
			if !errors.Is(gone, sarama.ErrGroupIDNotFound) {
				err = errors.Join(err, gone)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: delete group %q in %q: %w", group, topic, groupError(denied(err, opDelete)))
	}
	return nil
}

// known refuses a group that has no offset in topic.
func (b *Backend) known(group, topic string, ps []int32) error {
	found, err := b.groupsIn(topic, ps, []string{group})
	if err != nil {
		return denied(err, opDescribe)
	}
	if len(found) == 0 {
		return durable.Invalid("group", group, "name a group that has consumed this topic")
	}
	return nil
}

// groupError adds the sentinel that an answer about a group stands for.
func groupError(err error) error {
	switch {
	case errors.Is(err, durable.ErrPositionExpired):
		return err
	case errors.Is(err, sarama.ErrNonEmptyGroup), errors.Is(err, sarama.ErrGroupSubscribedToTopic), unseated(err),
		errors.Is(err, sarama.ErrRebalanceInProgress):
		return fmt.Errorf("%w: %w", durable.ErrGroupActive, err)
	}
	return translateStart(err)
}
