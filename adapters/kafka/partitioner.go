package kafka

import (
	"math/rand/v2"
	"unsafe"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// stickiness is how many records without a key go to one partition before the next partition is chosen.
const stickiness = 100

// partitioner places records with a key as durable.Partition does. sarama calls it from one goroutine per topic.
type partitioner struct {
	current int32
	left    int
}

var _ sarama.DynamicConsistencyPartitioner = (*partitioner)(nil)

func newPartitioner(string) sarama.Partitioner { return &partitioner{current: rand.Int32()} }

// Partition implements sarama.Partitioner.
func (p *partitioner) Partition(msg *sarama.ProducerMessage, n int32) (int32, error) {
	if msg.Key != nil {
		key, err := msg.Key.Encode()
		if err != nil {
			return 0, err
		}
		return int32(durable.Partition(unsafe.String(unsafe.SliceData(key), len(key)), int(n))), nil
	}
	if p.left == 0 {
		p.current, p.left = (p.current+1)&0x7fffffff, stickiness
	}
	p.left--
	return p.current % n, nil
}

// RequiresConsistency implements sarama.Partitioner.
func (p *partitioner) RequiresConsistency() bool { return true }

// MessageRequiresConsistency implements sarama.DynamicConsistencyPartitioner.
func (p *partitioner) MessageRequiresConsistency(msg *sarama.ProducerMessage) bool {
	return msg.Key != nil
}
