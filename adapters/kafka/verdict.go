package kafka

import (
	"errors"

	"github.com/IBM/sarama"
)

// verdict is what the answer of a broker means for a batch.
type verdict int

const (
	stored    verdict = iota
	again             // to be sent again as it is, to whoever leads the partition now
	renumber          // not stored because of its sequence: to be sent again in a new epoch
	split             // refused for the sake of some of its records: they are sent in smaller batches
	refused           // not stored, and never will be
	failedFor         // ended for a reason that we do not know the meaning of
)

// renumberings is how often a batch is given a new sequence before it fails.
const renumberings = 3

// verdictOf judges the answer to b, or its absence for the reason err. An answer that says the batch may be stored
// all the same is remembered in b.
func verdictOf(b *batch, res *sarama.ProduceResponse, err error) (v verdict, offset int64, reason error) {
	if err != nil {
		v, reason = judgeFailure(b, err)
		return v, -1, reason
	}
	block := res.GetBlock(b.lane.topic.name, b.lane.partition)
	if block == nil {
		b.uncertain = true
		return again, -1, sarama.ErrIncompleteResponse
	}
	switch block.Err {
	case sarama.ErrNoError:
		return stored, block.Offset, nil
	case sarama.ErrDuplicateSequenceNumber: // the broker does not tell the offset
		return stored, -1, nil
	}
	return judge(b, block.Err), -1, block.Err
}

func judgeFailure(b *batch, err error) (verdict, error) {
	var uncertain *uncertainError
	var encoding sarama.PacketEncodingError
	switch {
	case errors.As(err, &encoding):
		return refused, err
	case errors.As(err, &uncertain):
		b.uncertain = true
	}
	return again, err
}

func judge(b *batch, code sarama.KError) verdict {
	switch code {
	case sarama.ErrRequestTimedOut, sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrKafkaStorageError:
		b.uncertain = true
		return again
	case sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable,
		sarama.ErrUnknownTopicOrPartition, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch,
		sarama.ErrNotEnoughReplicas, sarama.ErrInvalidMessage, sarama.ErrBrokerNotAvailable, sarama.ErrNetworkException:
		return again
	case sarama.ErrOutOfOrderSequenceNumber, sarama.ErrUnknownProducerID, sarama.ErrInvalidProducerEpoch,
		sarama.ErrInvalidProducerIDMapping:
		if b.uncertain || b.renumbered >= renumberings {
			return failedFor // an earlier attempt may have stored it
		}
		return renumber
	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge, sarama.ErrInvalidRecord, sarama.ErrInvalidTimestamp:
		if b.n > 1 && b.uncertain {
			return failedFor // the parts of what an earlier attempt may have stored would be stored twice
		}
		if b.n > 1 {
			return split
		}
		return refused
	}
	if isRejection(code) {
		return refused
	}
	return failedFor
}
