package redisstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

const (
	mostPerPipeline = 1000        // commands; a larger call is one pipeline of its own
	wrongType       = "WRONGTYPE" // how the server begins its refusal of a key that holds something else
)

// The states of an item.
const (
	waiting int32 = iota
	taken         // a writer has it; its outcome is unknown until done
	dropped       // its caller left before a writer took it
)

// item is one Append on its way to a writer.
type item struct {
	state atomic.Int32
	cmds  []redis.Cmder
	short error         // too few replicas have it
	done  chan struct{} // closed when cmds hold their results
}

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
	cmds, err := b.encode(&to, msgs)
	if err != nil {
		return make([]durable.Position, len(msgs)), err
	}
	return b.send(ctx, &to, msgs, &item{cmds: cmds, done: make(chan struct{})})
}

func (b *Backend) send(ctx context.Context, to *placement, msgs []*message.Message, it *item) ([]durable.Position, error) {
	topic := to.topic
	none := func(s durable.Status, err error) ([]durable.Position, error) {
		return make([]durable.Position, len(msgs)), fail(topic, msgs, s, err)
	}
	select {
	case b.queue <- it:
	case <-ctx.Done():
		return none(durable.NotSent, ctx.Err())
	case <-b.stop:
		return none(durable.NotSent, durable.ErrClosed)
	}
	select {
	case <-it.done:
		return results(to, msgs, it)
	case <-ctx.Done():
		if it.state.CompareAndSwap(waiting, dropped) {
			return none(durable.NotSent, ctx.Err())
		}
		return none(durable.Unknown, ctx.Err())
	case <-b.stopped:
		if it.state.CompareAndSwap(waiting, dropped) {
			return none(durable.NotSent, durable.ErrClosed)
		}
		<-it.done
		return results(to, msgs, it)
	}
}

func fail(topic string, msgs []*message.Message, s durable.Status, err error) error {
	return durable.FailAll(topic, len(msgs), s, fmt.Errorf("redisstream: %w", err))
}

// write sends what waits in one pipeline, until the backend stops and nothing waits.
func (b *Backend) write() {
	for {
		select {
		case it := <-b.queue:
			b.pipeline(it)
		case <-b.stop:
			select {
			case it := <-b.queue:
				b.pipeline(it)
			default:
				return
			}
		}
	}
}

// pipeline sends first and whatever else waits now.
func (b *Backend) pipeline(first *item) {
	items := make([]*item, 0, 64)
	var cmds []redis.Cmder
	add := func(it *item) {
		if it.state.CompareAndSwap(waiting, taken) {
			items = append(items, it)
			cmds = append(cmds, it.cmds...)
		}
	}
	add(first)
	for more := true; more && len(cmds) < mostPerPipeline; {
		select {
		case it := <-b.queue:
			add(it)
		default:
			more = false
		}
	}
	if len(cmds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.AppendTimeout)
	defer cancel()
	p := b.appending.Pipeline()
	wait := b.waitFor()
	if wait != nil {
		cmds = append(cmds, wait)
	}
	_ = p.BatchProcess(ctx, cmds...)
	_, _ = p.Exec(ctx) // every command holds its own error
	short := b.tooFew(wait)
	for _, it := range items {
		it.short = short
		close(it.done)
	}
}

// results reads the outcome of each message off its command.
func results(to *placement, msgs []*message.Message, it *item) ([]durable.Position, error) {
	cmds := it.cmds
	positions := make([]durable.Position, len(cmds))
	var outcomes []durable.Outcome
	broken := map[string]bool{}
	for i, c := range cmds {
		err := c.Err()
		if err == nil && it.short == nil {
			positions[i] = to.position(i, c.(*redis.StringCmd).Val())
			if key := durable.Key(msgs[i]); outcomes != nil && key != "" && broken[key] {
				outcomes[i].AfterGap = true
			}
			continue
		}
		if outcomes == nil {
			outcomes = make([]durable.Outcome, len(cmds))
		}
		status, err := outcome(err, it.short)
		outcomes[i] = durable.Outcome{Status: status, Err: err}
		broken[durable.Key(msgs[i])] = true
	}
	if outcomes == nil {
		return positions, nil
	}
	return positions, &durable.BatchError{Topic: to.topic, Outcomes: outcomes}
}

// outcome is what a failed XADD did, or one that too few replicas have.
func outcome(err, short error) (durable.Status, error) {
	if err == nil {
		return durable.Unknown, short
	}
	return classify(err)
}

// classify tells what a failed XADD did. A refusal that may pass (out of memory, read only, loading, no access) is
// NotSent and ErrUnavailable, because the same message may be stored later; other refusals are Rejected. A
// connection that was never made is NotSent; one that broke or stayed silent leaves Unknown.
func classify(err error) (durable.Status, error) {
	var refused redis.Error
	var op *net.OpError
	switch {
	case errors.As(err, &refused) && transient(err.Error()):
		return durable.NotSent, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, err)
	case errors.As(err, &refused):
		return durable.Rejected, fmt.Errorf("redisstream: %w", err)
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, redis.ErrPoolTimeout):
		return durable.NotSent, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, err)
	default:
		return durable.Unknown, fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, err)
	}
}

func transient(text string) bool {
	for _, word := range []string{"OOM", "READONLY", "LOADING", "NOAUTH", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "BUSY", "TRYAGAIN", "NOPERM", "ERR max number of clients"} {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return false
}
