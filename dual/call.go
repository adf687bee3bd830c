package dual

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// call is one Publish: two slices with one element per event, and the events by topic.
type call struct {
	events   []durable.Event
	receipts []Receipt
	groups   []group  // in the order of their first event
	only     [1]group // memory of groups, which most calls have one of
}

// group is the events of one topic.
type group struct {
	topic string
	batch *durable.Batch
	at    []int // indices of its events; nil: all
}

// add makes event i a message of topic, placed by key.
func (c *call) add(i int, topic, key string) error {
	g := c.groupOf(topic, i)
	if err := g.batch.Add(&c.events[i], key); err != nil {
		return err
	}
	if len(c.groups) > 1 {
		g.at = append(g.at, i)
	}
	c.receipts[i].ID, c.receipts[i].Topic = c.events[i].ID, topic
	return nil
}

// groupOf is the group of topic, a new one where event i is its first.
func (c *call) groupOf(topic string, i int) *group {
	for k := range c.groups {
		if c.groups[k].topic == topic {
			return &c.groups[k]
		}
	}
	if len(c.groups) == 1 { // until now it had all
		for k := range i {
			c.groups[0].at = append(c.groups[0].at, k)
		}
	}
	c.groups = append(c.groups, group{topic: topic, batch: durable.NewBatch(len(c.events) - i)})
	return &c.groups[len(c.groups)-1]
}

// index is the index in the call of event i of g.
func (g *group) index(i int) int {
	if g.at == nil {
		return i
	}
	return g.at[i]
}

// structured gives the messages the structured encoding.
func (c *call) structured() error {
	for k := range c.groups {
		if err := c.groups[k].batch.Structured(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses the call before anything is stored: for its topics and sizes, because the batches checked the rest.
func (c *call) check(maxBytes int) error {
	for k := range c.groups {
		g := &c.groups[k]
		if err := durable.CheckTopic(g.topic); err != nil {
			return fmt.Errorf("event %d: %w", g.index(0), err)
		}
		i, size := g.batch.Largest()
		if err := durable.CheckSize(size, maxBytes); err != nil {
			return fmt.Errorf("event %d: %w", g.index(i), err)
		}
	}
	return nil
}

// store appends topic by topic and fills the receipts. The error is a *durable.BatchError with one outcome per event.
func (c *call) store(ctx context.Context, to *durable.Publisher) error {
	var failed error
	for k := range c.groups {
		g := &c.groups[k]
		positions, err := to.AppendBatch(ctx, g.topic, g.batch)
		if err := c.settle(g, positions, err); err != nil {
			failed = err
		}
	}
	if failed == nil || len(c.groups) == 1 {
		return failed
	}
	return c.batchError()
}

// settle fills the receipts of g with what its Append returned. The error is a *durable.BatchError.
func (c *call) settle(g *group, positions []durable.Position, err error) error {
	n := g.batch.Len()
	var outcomes []durable.Outcome
	if err != nil {
		outcomes = outcomesOf(err, n)
	}
	for i := range n {
		r := &c.receipts[g.index(i)]
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
	if errors.As(err, &batch) && len(batch.Outcomes) == n {
		return err
	}
	return c.batchError()
}

// outcomesOf is what err says about n messages; an error that says nothing leaves all of them unknown.
func outcomesOf(err error, n int) []durable.Outcome {
	var batch *durable.BatchError
	if errors.As(err, &batch) && len(batch.Outcomes) == n {
		return batch.Outcomes
	}
	return durable.FailAll("", n, durable.Unknown, err).Outcomes
}

func (c *call) batchError() error {
	topics := make([]string, len(c.groups))
	for k, g := range c.groups {
		topics[k] = g.topic
	}
	out := &durable.BatchError{Topic: strings.Join(topics, ","), Outcomes: make([]durable.Outcome, len(c.receipts))}
	for i, r := range c.receipts {
		out.Outcomes[i] = durable.Outcome{Status: r.Status, Err: r.Err, AfterGap: r.AfterGap}
	}
	return out
}
