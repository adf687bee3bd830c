package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// rejections are the broker's answers that a repetition does not change, with nothing stored.
var rejections = [...]error{
	sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge, sarama.ErrInvalidMessageSize, sarama.ErrInvalidTopic,
	sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed, sarama.ErrUnsupportedForMessageFormat,
	sarama.ErrInvalidTimestamp, sarama.ErrInvalidRecord, sarama.ErrPolicyViolation, sarama.ErrInvalidRequiredAcks,
	sarama.ErrUnknownTopicOrPartition,
}

func isRejection(err error) bool {
	for _, r := range rejections {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

func isTooLarge(err error) bool {
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge)
}

// translate adds the sentinel that an error of the client stands for.
func translate(err error) error {
	var code sarama.KError
	switch {
	case err == nil:
		return nil
	case isTooLarge(err):
		return fmt.Errorf("%w: %w", durable.ErrTooLarge, err)
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return fmt.Errorf("%w: %w", durable.ErrTopicNotFound, err)
	case errors.Is(err, sarama.ErrClosedClient):
		return fmt.Errorf("%w: %w", durable.ErrClosed, err)
	case errors.Is(err, sarama.ErrOffsetOutOfRange):
		return fmt.Errorf("%w: %w", durable.ErrPositionExpired, err)
	case isRejection(err):
		return err
	case errors.As(err, &code) && strings.Contains(code.Error(), "uthoriz"):
		return err
	}
	return fmt.Errorf("%w: %w", durable.ErrUnavailable, err)
}
