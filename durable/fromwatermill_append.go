package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// errEarlier is why a message was not sent: one before it in the call was not stored.
var errEarlier = errors.New("a message before it was not stored")

// Append implements Backend. Watermill's publishers do not look at a context, most of them not even at that of the
// message: where ctx ends first, the message under way is Unknown and those behind it are NotSent.
func (b *watermillBackend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]Position, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	positions := make([]Position, len(msgs))
	if err := CheckAppend(topic, b.w.MaxMessageBytes, msgs); err != nil {
		return positions, err
	}
	if err := ctx.Err(); err != nil {
		return positions, FailAll(topic, len(msgs), NotSent, err)
	}
	if !b.enter() {
		return positions, FailAll(topic, len(msgs), NotSent, ErrClosed)
	}
	p := &publishing{total: len(msgs), done: make(chan struct{})}
	copies := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		copies[i] = copyMessage(ctx, m)
	}
	each := 1
	if b.w.WholeBatches {
		each = len(msgs)
	}
	go func() {
		defer b.calls.Done()
		defer close(p.done)
		p.run(b.w, topic, copies, each)
	}()
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	return positions, p.end(topic, ctx.Err())
}

// copyMessage is m with a context, and without anything that is shared.
func copyMessage(ctx context.Context, m *message.Message) *message.Message {
	out := message.NewMessageWithContext(ctx, m.UUID, bytes.Clone(m.Payload))
	if len(m.Metadata) > 0 {
		out.Metadata = maps.Clone(m.Metadata)
	}
	return out
}

// publishing is one Append under way: what is stored and what is with the publisher are at its front.
type publishing struct {
	total int
	done  chan struct{} // closed when run has ended

	mu      sync.Mutex
	stored  int
	sending int
	err     error // of Publish
	over    bool  // nothing more is sent
}

// run publishes msgs, each so many at once, until one fails or the caller has gone.
func (p *publishing) run(w Watermill, topic string, msgs []*message.Message, each int) {
	for part := msgs; len(part) > 0; part = part[each:] {
		if !p.begin(each) {
			return
		}
		err := publish(w.Publisher, topic, part[:each])
		if err != nil {
			err = fmt.Errorf("%s: publish to %q: %w", w.Name, topic, err)
		}
		if !p.answered(err) {
			return
		}
	}
}

// publish makes a panic of the publisher an error.
func publish(pub message.Publisher, topic string, msgs []*message.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the publisher panicked: %v", p)
		}
	}()
	return pub.Publish(topic, msgs...)
}

func (p *publishing) begin(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.sending = n
	return true
}

func (p *publishing) answered(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err, p.over = err, true
		return false
	}
	p.stored, p.sending = p.stored+p.sending, 0
	return true
}

// end lets nothing more be sent and tells what became of the messages; cause is why the caller goes, where it does.
func (p *publishing) end(topic string, cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.stored == p.total {
		return nil
	}
	err := p.err
	if err == nil {
		err = cause
	}
	b := FailAll(topic, p.total, NotSent, errEarlier)
	for i := range b.Outcomes {
		switch {
		case i < p.stored:
			b.Outcomes[i] = Outcome{Status: Stored}
		case i < p.stored+p.sending:
			b.Outcomes[i] = Outcome{Status: Unknown, Err: err}
		case p.sending == 0:
			b.Outcomes[i].Err = err
		}
	}
	return b
}
