package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Append implements durable.Backend. It also ends after Config.AppendTimeout.
func (b *Backend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if err := b.enter(&b.calls); err != nil {
		return make([]durable.Position, len(msgs)), failed(durable.FailAll(topic, len(msgs), durable.NotSent, err))
	}
	defer b.calls.Done()
	if len(msgs) == 0 {
		return nil, nil
	}
	none := make([]durable.Position, len(msgs))
	if err := durable.CheckAppend(topic, 0, msgs); err != nil {
		return none, failed(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.cfg.AppendTimeout, errAppendTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return none, failed(durable.FailAll(topic, len(msgs), durable.NotSent, context.Cause(ctx)))
	}
	if err := b.findTopic(ctx, topic); err != nil {
		return none, failed(durable.FailAll(topic, len(msgs), durable.NotSent, err))
	}
	records, i, err := b.records(topic, msgs)
	if err != nil {
		return none, failed(durable.FailInvalid(topic, len(msgs), i, err))
	}
	c := newCall(records)
	sent, err := b.send(ctx, c)
	return c.result(topic, msgs, none, sent, err)
}

var errAppendTimeout = fmt.Errorf("no acknowledgement within the append timeout: %w", durable.ErrUnavailable)

// failed names the backend; a BatchError names operation and topic itself.
func failed(err error) error { return fmt.Errorf("kafka: %w", err) }

// findTopic is ErrTopicNotFound for a topic that does not exist; after the first time it costs a map look-up.
func (b *Backend) findTopic(ctx context.Context, topic string) error {
	if _, ok := b.topics.Load(topic); ok {
		return nil
	}
	ask := make(chan error, 1) // the question may outlive the call
	b.wg.Go(func() {
		_, err := b.batch.client.Partitions(topic)
		ask <- err
	})
	select {
	case err := <-ask:
		if err == nil {
			b.topics.Store(topic, struct{}{})
			return nil
		}
		return translate(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.life.Done():
		return durable.ErrClosed
	}
}

// send hands the records to the client and returns how many it took. A single record goes straight to it; a batch
// goes through the feeder, which is quicker than a select per record.
func (b *Backend) send(ctx context.Context, c *call) (int, error) {
	if len(c.records) > 1 {
		return b.feed(ctx, c)
	}
	select {
	case b.single.async.Input() <- &c.records[0]:
		return 1, b.await(ctx, c)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-b.life.Done():
		return 0, durable.ErrClosed
	}
}

func (b *Backend) feed(ctx context.Context, c *call) (int, error) {
	select {
	case b.batch.feed <- c:
		err := b.await(ctx, c)
		if err == nil {
			return len(c.records), nil
		}
		return c.stop(), err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-b.life.Done():
		return 0, durable.ErrClosed
	}
}

// await waits until every record is finished.
func (b *Backend) await(ctx context.Context, c *call) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.life.Done():
		return durable.ErrClosed
	}
}

// result reads the slots of the first sent records; early is why the call ended before all were finished.
func (c *call) result(topic string, msgs []*message.Message, at []durable.Position, sent int, early error) ([]durable.Position, error) {
	buf := make([]byte, 0, 12*len(msgs))
	ends := make([]int, len(msgs))
	finished := make([]bool, len(msgs)) // read once: records may finish meanwhile
	good := 0
	for i := range c.slots {
		s := &c.slots[i]
		finished[i] = s.state.Load()
		if finished[i] && s.err == nil {
			if s.offset >= 0 { // of a duplicate the broker does not tell it
				buf = appendPosition(buf, s.partition, s.offset)
			}
			good++
		}
		ends[i] = len(buf)
	}
	all, start := string(buf), 0
	for i, end := range ends {
		at[i] = durable.Position(all[start:end])
		start = end
	}
	if good == len(msgs) {
		return at, nil
	}
	out := make([]durable.Outcome, 0, len(msgs))
	lost := map[string]bool{} // keys of which a message is missing
	for i := range c.slots {
		o := c.outcome(i, finished[i], sent, early)
		if key := durable.Key(msgs[i]); key != "" {
			o.AfterGap = o.Status == durable.Stored && lost[key]
			lost[key] = lost[key] || o.Status != durable.Stored
		}
		out = append(out, o)
	}
	return at, failed(&durable.BatchError{Topic: topic, Outcomes: out})
}

func (c *call) outcome(i int, finished bool, sent int, early error) durable.Outcome {
	s := &c.slots[i]
	if i >= sent {
		return durable.Outcome{Status: durable.NotSent, Err: early}
	}
	if !finished {
		return durable.Outcome{Status: durable.Unknown, Err: early}
	}
	if s.err == nil {
		return durable.Outcome{}
	}
	return durable.Outcome{Status: statusOf(s.err), Err: translate(s.err)}
}

// rejections are the broker's answers that a repetition does not change, with nothing stored.
var rejections = [...]error{
	sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge, sarama.ErrInvalidMessageSize, sarama.ErrInvalidTopic,
	sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed, sarama.ErrUnsupportedForMessageFormat,
	sarama.ErrInvalidTimestamp, sarama.ErrInvalidRecord, sarama.ErrPolicyViolation, sarama.ErrInvalidRequiredAcks,
	sarama.ErrUnknownTopicOrPartition,
}

// statusOf tells what an error of the client means for the record: only what is certain is Rejected.
func statusOf(err error) durable.Status {
	for _, r := range rejections {
		if errors.Is(err, r) {
			return durable.Rejected
		}
	}
	if isTooLarge(err) {
		return durable.Rejected
	}
	return durable.Unknown
}

func isTooLarge(err error) bool {
	var conf sarama.ConfigurationError
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrMessageSetSizeTooLarge) ||
		errors.As(err, &conf) && strings.Contains(string(conf), "larger than")
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
	case statusOf(err) == durable.Rejected:
		return err
	case errors.As(err, &code) && strings.Contains(code.Error(), "uthoriz"):
		return err
	}
	return fmt.Errorf("%w: %w", durable.ErrUnavailable, err)
}
