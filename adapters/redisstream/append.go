package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// How the server begins its refusals of a key that holds something else, and of a script that it does not have.
const (
	wrongType = "WRONGTYPE"
	noScript  = "NOSCRIPT"
)

// Append implements durable.Backend.
func (b *Backend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if b.closed() {
		return nil, fail(topic, msgs, durable.NotSent, durable.ErrClosed)
	}
	if err := durable.CheckAppend(topic, b.cfg.MaxMessageBytes, msgs); err != nil {
		return make([]durable.Position, len(msgs)), err
	}
	if len(msgs) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return make([]durable.Position, len(msgs)), fail(topic, msgs, durable.NotSent, err)
	}
	n, err := b.partitions(ctx, topic)
	if err != nil {
		return make([]durable.Position, len(msgs)), fail(topic, msgs, durable.NotSent, err)
	}
	ps, err := b.appendTo(ctx, topic, n, msgs)
	if n != 1 || err == nil || !nothingStored(err) {
		return ps, err
	}
	// The topic was given partitions since it was looked up: its plain key refuses streams, so nothing was stored.
	b.shapes.forget(topic)
	if n, lookErr := b.partitions(ctx, topic); lookErr == nil && n != 1 {
		if b.cfg.TTL > 0 { // which the refused append has given to the plain key
			if lastErr := b.control.Persist(ctx, topic).Err(); lastErr != nil {
				return ps, errors.Join(err, lastErr)
			}
		}
		return b.appendTo(ctx, topic, n, msgs)
	}
	return ps, err
}

// nothingStored tells whether every message was refused because the key holds something else than a stream.
func nothingStored(err error) bool {
	var batch *durable.BatchError
	if !errors.As(err, &batch) {
		return false
	}
	for _, o := range batch.Outcomes {
		var refused redis.Error
		if !errors.As(o.Err, &refused) || !strings.HasPrefix(refused.Error(), wrongType) {
			return false
		}
	}
	return true
}

// appendTo appends to a topic of n partitions.
func (b *Backend) appendTo(ctx context.Context, topic string, n int, msgs []*message.Message) ([]durable.Position, error) {
	to := b.place(topic, n, msgs)
	if b.cfg.OrderedAppend {
		return b.appendOrdered(ctx, &to, msgs)
	}
	e := encoders.Get().(*encoder)
	if err := b.encode(e, &to, msgs); err != nil {
		return make([]durable.Position, len(msgs)), err
	}
	var more int
	e.wire, more = b.appendTTL(e.wire, &to)
	batch := rediskit.NewBatch(e.wire, len(msgs)+more)
	fate, err := b.writer.Send(ctx, batch)
	if fate != rediskit.Unknown {
		e.keep()
	}
	switch fate {
	case rediskit.NotSent:
		return make([]durable.Position, len(msgs)), fail(topic, msgs, durable.NotSent, unsent(ctx, err))
	case rediskit.Unknown:
		return make([]durable.Position, len(msgs)), fail(topic, msgs, durable.Unknown, err)
	default:
		b.trimmer.appended(topic, len(msgs))
		return b.results(&to, msgs, batch)
	}
}

// unsent is why a batch was not sent.
func unsent(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, rediskit.ErrStopped):
		return durable.ErrClosed
	case ctx.Err() != nil:
		return err
	case rediskit.Denied(err):
		return passing(err)
	default: // also a time that is over, which is not the caller's
		return fmt.Errorf("%w: %w", durable.ErrUnavailable, err)
	}
}

func fail(topic string, msgs []*message.Message, s durable.Status, err error) error {
	return durable.FailAll(topic, len(msgs), s, fmt.Errorf("redisstream: %w", err))
}

// results reads the outcome of each message off its reply. Positions share the memory of the replies.
func (b *Backend) results(to *placement, msgs []*message.Message, batch *rediskit.Batch) ([]durable.Position, error) {
	positions := make([]durable.Position, len(msgs))
	replies, got := batch.Replies()
	short := b.tooFew(batch)
	var outcomes []durable.Outcome
	var broken map[string]bool
	for i := range msgs {
		id, status, err := result(&replies, i < got, batch.Err(), short)
		if err == nil {
			positions[i] = to.position(i, id)
			if key := durable.Key(msgs[i]); outcomes != nil && key != "" && broken[key] {
				outcomes[i].AfterGap = true
			}
			continue
		}
		if outcomes == nil {
			outcomes, broken = make([]durable.Outcome, len(msgs)), map[string]bool{}
		}
		outcomes[i] = durable.Outcome{Status: status, Err: err}
		broken[durable.Key(msgs[i])] = true
	}
	if outcomes == nil {
		return positions, nil
	}
	return positions, &durable.BatchError{Topic: to.topic, Outcomes: outcomes}
}

// result is the id of a stored entry, or what became of it: lost is why no reply came, short that too few replicas
// have it.
func result(r *rediskit.Reply, came bool, lost, short error) (id string, s durable.Status, err error) {
	if !came {
		return "", durable.Unknown, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, lost)
	}
	if refused := r.Err(); refused != nil {
		s, err = classify(refused)
		return "", s, err
	}
	if r.Null() {
		return "", durable.Rejected, fmt.Errorf("redisstream: append: %w", durable.ErrTopicNotFound)
	}
	id = r.Text()
	switch {
	case r.Bad():
		return "", durable.Unknown, fmt.Errorf("redisstream: append: %w", rediskit.ErrReply)
	case short != nil:
		return "", durable.Unknown, short
	default:
		return id, durable.Stored, nil
	}
}

// classify tells what a refused XADD did. A refusal that may pass (out of memory, read only, loading) is NotSent and
// ErrUnavailable, because the same message may be stored later; others are Rejected, one by an access rule with ErrDenied.
func classify(refused error) (durable.Status, error) {
	var lost *rediskit.LostError
	if errors.As(refused, &lost) && lost.Fate == rediskit.Unknown {
		return durable.Unknown, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, refused)
	}
	if lost != nil {
		return durable.NotSent, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, refused)
	}
	if transient(refused.Error()) {
		return durable.NotSent, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, refused)
	}
	if rediskit.Denied(refused) {
		return durable.Rejected, fmt.Errorf("redisstream: %w", passing(refused))
	}
	return durable.Rejected, fmt.Errorf("redisstream: %w", refused)
}

func transient(text string) bool {
	for _, word := range []string{"OOM", "READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "MOVED", "ASK", "MISCONF", "NOREPLICAS", "BUSY", "TRYAGAIN", noScript, "ERR WAIT cannot be used with replica", "ERR max number of clients"} {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return false
}
