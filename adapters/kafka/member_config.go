package kafka

import (
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// joinSlack is what the answer to a join may take beyond the rebalance.
const joinSlack = 5 * time.Second

// heartbeat is the time between heartbeats: short, because members learn of a rebalance by them.
func (c Config) heartbeat() time.Duration {
	if c.beat > 0 {
		return c.beat
	}
	return max(min(c.SessionTimeout/10, time.Second), 5*time.Millisecond)
}

// member is the configuration of the client of a member of g.
func (c Config) member(g durable.Group) *sarama.Config {
	s := c.reader()
	if g.Member != "" {
		s.ClientID = c.ClientID + "-" + g.Member
	}
	return s
}

// newSeat is a place in g that has not been taken yet.
func newSeat(client sarama.Client, g durable.Group, c Config) *seat {
	slow, quick := *client.Config(), *client.Config()
	slow.Net.ReadTimeout = c.RebalanceTimeout + joinSlack // a join waits for the other members
	third := max(c.SessionTimeout/3, time.Millisecond)
	quick.Net.DialTimeout, quick.Net.ReadTimeout, quick.Net.WriteTimeout = min(c.DialTimeout, third), third, third
	if c.dialer != nil {
		c.dialer.use(&quick)
	}
	s := &seat{
		client: client, group: g.Name, generation: -1, slow: &slow, quick: &quick,
		session: c.SessionTimeout, rebalance: c.RebalanceTimeout,
		strategy: sarama.NewBalanceStrategyCooperativeSticky(),
	}
	if c.StaticMembers {
		s.instance = new(g.Member)
	}
	return s
}
