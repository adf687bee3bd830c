package dual

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// call is one Publish: three slices with one element per event.
type call struct {
	events   []durable.Event
	msgs     []*message.Message
	receipts []Receipt
}

// topics are the distinct topics in the order of their first event.
func (c *call) topics() []string {
	out := []string{c.receipts[0].Topic}
	for _, r := range c.receipts[1:] {
		if r.Topic == out[len(out)-1] || slices.Contains(out, r.Topic) {
			continue
		}
		out = append(out, r.Topic)
	}
	return out
}

// check refuses the call before anything is stored: for its topics and sizes, because the events made the rest.
func (c *call) check(maxBytes int) error {
	checked := ""
	for i, msg := range c.msgs {
		if topic := c.receipts[i].Topic; i == 0 || topic != checked {
			if err := durable.CheckTopic(topic); err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
			checked = topic
		}
		if err := durable.CheckSize(durable.Size(msg), maxBytes); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return nil
}

// store appends topic by topic and fills the receipts. The error is a *durable.BatchError with one outcome per event.
func (c *call) store(ctx context.Context, to *durable.Publisher) error {
	topics := c.topics()
	if len(topics) == 1 {
		positions, err := to.Append(ctx, topics[0], c.msgs...)
		return c.settle(topics, nil, positions, err)
	}
	var failed error
	for _, topic := range topics {
		var msgs []*message.Message
		var at []int
		for i, r := range c.receipts {
			if r.Topic == topic {
				msgs, at = append(msgs, c.msgs[i]), append(at, i)
			}
		}
		positions, err := to.Append(ctx, topic, msgs...)
		if err := c.settle(topics, at, positions, err); err != nil {
			failed = err
		}
	}
	if failed == nil {
		return nil
	}
	return c.batchError(topics)
}

// settle fills the receipts of the events at (nil: of all) with what an Append returned.
func (c *call) settle(topics []string, at []int, positions []durable.Position, err error) error {
	n := len(at)
	if at == nil {
		n = len(c.receipts)
	}
	outcomes := make([]durable.Outcome, 0)
	if err != nil {
		outcomes = outcomesOf(err, n)
	}
	for i := range n {
		r := &c.receipts[i]
		if at != nil {
			r = &c.receipts[at[i]]
		}
		if err != nil {
			r.Status, r.Err, r.AfterGap = outcomes[i].Status, outcomes[i].Err, outcomes[i].AfterGap
		}
		if r.Status == durable.Stored && i < len(positions) {
			r.Position = positions[i]
		}
	}
	if err == nil {
		return nil
	}
	var batch *durable.BatchError
	if at == nil && errors.As(err, &batch) && len(batch.Outcomes) == n {
		return err
	}
	return c.batchError(topics)
}

// outcomesOf is what err says about n messages; an error that says nothing leaves all of them unknown.
func outcomesOf(err error, n int) []durable.Outcome {
	var batch *durable.BatchError
	if errors.As(err, &batch) && len(batch.Outcomes) == n {
		return batch.Outcomes
	}
	return durable.FailAll("", n, durable.Unknown, err).Outcomes
}

func (c *call) batchError(topics []string) error {
	out := &durable.BatchError{Topic: strings.Join(topics, ","), Outcomes: make([]durable.Outcome, len(c.receipts))}
	for i, r := range c.receipts {
		out.Outcomes[i] = durable.Outcome{Status: r.Status, Err: r.Err, AfterGap: r.AfterGap}
	}
	return out
}
