// Package filelog is a durable backend on the files of one machine, for any number of its processes: a log per topic
// and a file per group. It needs a Unix, whose file locks end with the process that holds them.
package filelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const poll = 2 * time.Millisecond // between two looks at what other processes do

// Settings are the keys of the section durable.filelog of a configuration file.
type Settings struct {
	Dir string `yaml:"dir"` // where the files are; it is made. Required
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if s.Dir == "" {
		return durable.Invalid("dir", "", "name a directory")
	}
	return nil
}

// Backend implements durable.Backend.
type Backend struct {
	dir       string
	life      context.Context // ends with Close
	end       context.CancelFunc
	calls     sync.RWMutex // held for reading by calls in flight
	consumers sync.Map     // of *consumer, those that are open
}

var _ durable.Backend = (*Backend)(nil)

// Open returns a backend. It touches no file yet.
func Open(s Settings) (*Backend, error) {
	b := &Backend{dir: s.Dir}
	b.life, b.end = context.WithCancel(context.Background())
	return b, s.Check()
}

// Capabilities implements durable.Backend.
func (b *Backend) Capabilities() durable.Capabilities {
	return durable.Capabilities{
		Backend: "filelog", Ack: durable.AckThrough, Groups: true, OrderedGroup: true, Replay: true, ReplayFollow: true,
	}
}

// open opens topic's log, repaired and locked; closing its file unlocks it.
func (b *Backend) open(ctx context.Context, topic string) (*log, error) {
	if b.life.Err() != nil {
		return nil, durable.ErrClosed
	}
	if err := errors.Join(ctx.Err(), durable.CheckTopic(topic)); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, topic)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	l, locked := &log{file: f}, false
	for !locked && err == nil {
		if locked, err = tryLock(f); !locked && err == nil {
			err = b.pause(ctx, b.life)
		}
	}
	if err == nil {
		err = l.repair()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// pause waits until it is time to look again. A life that ends is ErrClosed.
func (b *Backend) pause(ctx, life context.Context) error {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-life.Done():
		return durable.ErrClosed
	}
}

// Append implements durable.Backend: all of msgs are one write and one sync.
func (b *Backend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	b.calls.RLock()
	defer b.calls.RUnlock()
	none, n := make([]durable.Position, len(msgs)), len(msgs)
	if err := durable.CheckAppend(topic, 0, msgs); err != nil || n == 0 {
		return none, err
	}
	l, err := b.open(ctx, topic)
	if err != nil {
		return none, durable.FailAll(topic, n, durable.NotSent, fmt.Errorf("filelog: %w", err))
	}
	defer l.file.Close()
	var lines []byte
	ps := make([]durable.Position, n)
	for i, msg := range msgs {
		if lines, err = appendRecord(lines, time.Now(), msg); err != nil {
			return none, durable.FailInvalid(topic, n, i, err)
		}
		ps[i] = l.position(l.end + int64(len(lines)))
	}
	if err := l.write(lines); err != nil {
		return none, durable.FailAll(topic, n, durable.Unknown, fmt.Errorf("filelog: %w: %w", durable.ErrUnavailable, err))
	}
	return ps, nil
}

// Replay implements durable.Backend.
func (b *Backend) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	return func(yield func(durable.Record, error) bool) {
		if err := b.replay(ctx, topic, r, yield); err != nil {
			yield(durable.Record{}, fmt.Errorf("filelog: replay %q: %w", topic, err))
		}
	}
}

func (b *Backend) replay(ctx context.Context, topic string, r durable.Range, yield func(durable.Record, error) bool) error {
	l, err := b.open(ctx, topic)
	if err != nil {
		return err
	}
	defer l.file.Close()
	from, err := l.resolve(r.From)
	to := int64(math.MaxInt64)
	if p, named := r.To[0]; named && err == nil {
		to, err = l.offset(p)
	}
	if !r.ToTime.IsZero() {
		err = durable.ErrUnsupported
	}
	if err = errors.Join(err, unlock(l.file)); err != nil || r.Partitions != nil && !slices.Contains(r.Partitions, 0) {
		return err
	}
	for {
		for rec, err := range l.records(from, min(to, l.end)) {
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			msg, at, err := rec.message()
			if !yield(durable.Record{
				Message: msg, Topic: topic, Position: l.position(rec.to), Key: durable.Key(msg), StoredAt: at, DecodeErr: err,
			}, nil) {
				return nil
			}
			from = rec.to
		}
		if from >= to || !r.Follow {
			return nil
		}
		if err := errors.Join(b.pause(ctx, b.life), l.look()); err != nil {
			return err
		}
	}
}

// Close implements durable.Backend.
func (b *Backend) Close(ctx context.Context) (err error) {
	b.end()
	for !b.calls.TryLock() {
		if err := b.pause(ctx, context.Background()); err != nil {
			return fmt.Errorf("filelog: close: %w", err)
		}
	}
	defer b.calls.Unlock()
	for c := range b.consumers.Range {
		err = errors.Join(err, c.(*consumer).Close(ctx))
	}
	return err
}
