package kafka

import "github.com/IBM/sarama"

// watched is sarama's cooperative-sticky strategy, which also tells the member its new assignment before the
// revoked partitions are taken: the channel of a claim closes only once it was read to its end, which a claim with
// full buffers does not do.
type watched struct {
	sarama.BalanceStrategy
	assigned func(map[string][]int32)
}

var (
	_ sarama.RebalanceProtocolBalanceStrategy    = watched{}
	_ sarama.OnAssignmentBalanceStrategy         = watched{}
	_ sarama.SubscriptionUserDataBalanceStrategy = watched{}
)

func newStrategy(assigned func(map[string][]int32)) watched {
	return watched{BalanceStrategy: sarama.NewBalanceStrategyCooperativeSticky(), assigned: assigned}
}

// SupportedProtocols implements sarama.RebalanceProtocolBalanceStrategy.
func (w watched) SupportedProtocols() []sarama.RebalanceProtocol {
	return []sarama.RebalanceProtocol{sarama.RebalanceProtocolCooperative}
}

// OnAssignment implements sarama.OnAssignmentBalanceStrategy.
func (w watched) OnAssignment(a *sarama.ConsumerGroupMemberAssignment, generation int32) {
	if on, ok := w.BalanceStrategy.(sarama.OnAssignmentBalanceStrategy); ok {
		on.OnAssignment(a, generation)
	}
	w.assigned(a.Topics)
}

// SubscriptionUserData implements sarama.SubscriptionUserDataBalanceStrategy.
func (w watched) SubscriptionUserData(topics []string) ([]byte, error) {
	if sub, ok := w.BalanceStrategy.(sarama.SubscriptionUserDataBalanceStrategy); ok {
		return sub.SubscriptionUserData(topics)
	}
	return nil, nil
}
