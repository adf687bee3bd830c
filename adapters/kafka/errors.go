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

// translate adds the sentinel that an error of the client stands for. A refusal by access rules says what to
// grant: Read, unless denied was told of another operation before.
func translate(err error) error {
	switch {
	case err == nil || errors.Is(err, durable.ErrTopicNotFound):
		return err
	case isTooLarge(err):
		return fmt.Errorf("%w: %w", durable.ErrTooLarge, err)
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return &missingTopic{err}
	case errors.Is(err, sarama.ErrClosedClient):
		return fmt.Errorf("%w: %w", durable.ErrClosed, err)
	case errors.Is(err, sarama.ErrOffsetOutOfRange):
		return fmt.Errorf("%w: %w", durable.ErrPositionExpired, err)
	case isDenied(err):
		return denied(err, opRead)
	case isRejection(err):
		return err
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return fmt.Errorf("%w: %w", durable.ErrDenied, oneLine{err})
	}
	return fmt.Errorf("%w: %w", durable.ErrUnavailable, oneLine{err})
}

// missingTopic is an ErrTopicNotFound that says what to do, in the words of err but for those of the broker.
type missingTopic struct{ err error }

func (e *missingTopic) Error() string {
	return strings.ReplaceAll(e.err.Error(), sarama.ErrUnknownTopicOrPartition.Error(),
		durable.ErrTopicNotFound.Error()+": create it, or name it under \"topics\" in the configuration")
}

func (e *missingTopic) Unwrap() []error { return []error{durable.ErrTopicNotFound, e.err} }

// unnamed is err without the name of the topic that sarama puts before it, which our errors have already.
func unnamed(err error) error {
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return sarama.ErrUnknownTopicOrPartition
	}
	return err
}

// oneLine is an error whose text has no line breaks; sarama joins what went wrong with several brokers by them.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }

func (e oneLine) Unwrap() error { return e.error }
