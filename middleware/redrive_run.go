package middleware

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/time/rate"

	"github.com/dualstream/dualstream/durable"
)

// Metadata of a note in the topic {poison}.done.
const (
	metaDonePosition = "ds-redrive-position" // in the poison topic
	metaDoneAction   = "ds-redrive-action"
	doneMoved        = "moved"
	doneDropped      = "dropped"
)

// redriving is one run.
type redriving struct {
	Redrive
	store   durable.Backend // Backend, which tries again
	limiter *rate.Limiter
	report  RedriveReport

	batch []PoisonRecord
	moved []*message.Message // of batch
	to    string             // of batch
}

func (r Redrive) start() (*redriving, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	r.MaxLoops = orDefault(r.MaxLoops, DefaultMaxLoops)
	r.Batch = orDefault(r.Batch, DefaultRedriveBatch)
	run := &redriving{Redrive: r, store: Retry{}.Append(r.Backend), limiter: rate.NewLimiter(rate.Inf, 0)}
	if r.PerSecond > 0 {
		run.Batch = min(run.Batch, max(int(r.PerSecond), 1))
		run.limiter = rate.NewLimiter(rate.Limit(r.PerSecond), run.Batch)
	}
	return run, nil
}

func (r Redrive) each(ctx context.Context, do func(*redriving, context.Context, PoisonRecord) error) (RedriveReport, error) {
	run, err := r.start()
	if err != nil {
		return RedriveReport{}, err
	}
	for p, err := range run.selected(ctx) {
		if err == nil {
			err = do(run, ctx, p)
		}
		if err != nil {
			err = errors.Join(err, run.flush(context.WithoutCancel(ctx)))
			return run.report, err
		}
	}
	err = run.flush(ctx)
	return run.report, err
}

// move adds p to the batch.
func (r *redriving) move(ctx context.Context, p PoisonRecord) error {
	if p.Loops >= r.MaxLoops {
		r.report.Looping++
		return nil
	}
	to := p.Origin
	if r.To != nil {
		to = r.To(p)
	}
	if to == "" {
		return fmt.Errorf("middleware: redrive: event %q at %s of %q: %w", p.ID, p.Position, r.Topic, ErrNotPoisoned)
	}
	if err := durable.CheckTopic(to); err != nil {
		return fmt.Errorf("middleware: redrive: event %q at %s: where to: %w", p.ID, p.Position, err)
	}
	msg, err := r.restored(ctx, p)
	if err != nil {
		return err
	}
	if msg == nil {
		r.report.Missing++
		return nil
	}
	if r.DryRun {
		r.report.Moved++
		return nil
	}
	msg.Metadata[MetaRedriveTopic] = to
	if to != r.to {
		if err := r.flush(ctx); err != nil {
			return err
		}
		r.to = to
	}
	if err := r.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("middleware: redrive: %w", err)
	}
	r.batch, r.moved = append(r.batch, p), append(r.moved, msg)
	if len(r.batch) < r.Batch {
		return nil
	}
	return r.flush(ctx)
}

// drop adds p to the batch of what is noted as done.
func (r *redriving) drop(ctx context.Context, p PoisonRecord) error {
	if r.DryRun {
		r.report.Dropped++
		return nil
	}
	r.batch = append(r.batch, p)
	if len(r.batch) < r.Batch {
		return nil
	}
	return r.flush(ctx)
}

// flush moves the batch, and notes what of it was stored.
func (r *redriving) flush(ctx context.Context) error {
	switch {
	case len(r.batch) == 0:
		return nil
	case len(r.moved) == 0:
		return r.flushDropped(ctx)
	}
	_, err := r.store.Append(ctx, r.to, r.moved...)
	stored := r.batch
	var batch *durable.BatchError
	if err != nil {
		stored = nil
		if errors.As(err, &batch) && len(batch.Outcomes) == len(r.batch) {
			for i, o := range batch.Outcomes {
				if o.Status == durable.Stored {
					stored = append(stored, r.batch[i])
				}
			}
		}
		err = fmt.Errorf("middleware: redrive: %w", err)
	}
	r.batch, r.moved = nil, nil
	r.report.Moved += len(stored)
	err = errors.Join(err, r.note(ctx, doneMoved, stored...))
	r.progress()
	return err
}

// flushDropped notes the batch as dropped.
func (r *redriving) flushDropped(ctx context.Context) error {
	dropped := r.batch
	r.batch = nil
	if err := r.note(ctx, doneDropped, dropped...); err != nil {
		return err
	}
	r.report.Dropped += len(dropped)
	r.progress()
	return nil
}

func (r *redriving) progress() {
	if r.Progress != nil {
		r.Progress(r.report)
	}
}

// note remembers what was done with records.
func (r *redriving) note(ctx context.Context, action string, records ...PoisonRecord) error {
	if len(records) == 0 {
		return nil
	}
	msgs := make([]*message.Message, len(records))
	for i, p := range records {
		msgs[i] = message.NewMessage(durable.NewID(), []byte(action))
		msgs[i].Metadata = message.Metadata{
			metaDonePosition: string(p.Position), metaDoneAction: action, durable.MetaID: p.ID,
			durable.MetaTime: time.Now().UTC().Format(time.RFC3339Nano),
		}
	}
	if _, err := appendCreating(ctx, r.store, r.Topic+doneSuffix, msgs...); err != nil {
		return fmt.Errorf("middleware: redrive: note what was %s: %w", action, err)
	}
	return nil
}

// restored is the event of p as it was, nil where it was cut and its original is gone.
func (r *redriving) restored(ctx context.Context, p PoisonRecord) (*message.Message, error) {
	source := p.Message
	if p.Cut != "" {
		original, err := r.original(ctx, p)
		if err != nil {
			return nil, err
		}
		if original == nil && p.Cut == cutPayload {
			return nil, nil
		}
		if original != nil {
			source = original
		}
	}
	msg := message.NewMessage(source.UUID, source.Payload)
	for k, v := range source.Metadata {
		if carried(k) && !watermillKey(k) {
			msg.Metadata[k] = v
		}
	}
	delete(msg.Metadata, MetaRedriveGroup) // of what it was passed on from
	if p.Group != "" {
		msg.Metadata[MetaRedriveGroup] = p.Group
	}
	msg.Metadata[MetaRedriveLoops] = strconv.Itoa(p.Loops + 1)
	return msg, nil
}

func watermillKey(k string) bool {
	switch k {
	case MetaPoisonReason, MetaPoisonTopic, MetaPoisonHandler, MetaPoisonSubscriber:
		return true
	}
	return false
}

// original reads the event of p from its own topic, nil where it is not stored any more.
func (r *redriving) original(ctx context.Context, p PoisonRecord) (*message.Message, error) {
	partition, err := strconv.Atoi(p.Message.Metadata[MetaPoisonPartition])
	if err != nil || p.OriginPosition == "" {
		return nil, nil //nolint:nilerr // nothing tells where it is
	}
	rng := durable.Range{Partitions: []int{partition}, To: durable.Cursor{partition: p.OriginPosition}}
	at, err := time.Parse(time.RFC3339Nano, p.Message.Metadata[MetaPoisonStored])
	if err == nil && r.Backend.Capabilities().StartAtTime {
		rng.From = durable.At(at.Add(-time.Second))
	}
	for record, err := range replay(ctx, r.Backend, p.Origin, rng) {
		if errors.Is(err, durable.ErrPositionExpired) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("middleware: redrive: read the original of event %q: %w", p.ID, err)
		}
		if record.Position == p.OriginPosition {
			return record.Message, nil
		}
	}
	return nil, nil
}
