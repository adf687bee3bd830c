package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ReaderOptions describes a Reader.
type ReaderOptions struct {
	// Topics to read; more may be added later. Those without a start of their own begin at Start.
	Topics []TopicStart
	// Start is where a topic begins that has no start of its own, also one that is added later. Defaults to Oldest. A
	// cursor belongs to one topic: with After, topics that are added later need a start of their own.
	Start Start
	// OnExpired says what happens when a start, or the place that the reader has come to, is no longer stored: an
	// error, or the oldest record, which is logged and counted. Defaults to ExpiredFail.
	OnExpired ExpiredPolicy
	// Backoff is the delay before a topic is read again whose broker failed n times in a row. Defaults to
	// DefaultBackoff.
	Backoff func(n int, err error) time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Reader reads topics by itself, beside the groups: it sees every event, acknowledges nothing and leaves nothing behind
// at the broker. It follows each of its topics by Backend.Replay, so that it works on every backend that can replay and
// follow, and hands what it reads to its subscriptions; each of them sees everything. Topics and subscriptions come and
// go while it runs.
//
// A topic is read in stored order within each partition. Where its broker fails it is read again behind the last record
// that was read, without a gap or a repetition; the failure is logged once. Partitions that a topic gets later are read
// where a Replay of the backend with Follow reads them, as that of Kafka does, else once the topic is added anew. While
// a partition has had no record since a topic was added At a time, a failure of the broker has the reader follow the
// partitions that it then knows, until the next one. A topic that was deleted and made again while it was read may be
// ErrPositionExpired at the next failure, although nothing of it was left out: see OnExpired.
//
// While it has no subscription a reader stands still, and goes on where it was once there is one. It buffers only in
// its subscriptions, and what a slow one does to the others is said there: see SubscribeOptions.WhenFull.
//
// All methods are safe for concurrent use. The Backend stays open when the Reader is closed.
type Reader struct {
	backend Backend
	o       ReaderOptions
	jumps   atomic.Int64
	life    context.Context
	end     context.CancelFunc

	mu        sync.Mutex // guards what follows; taken before the mutex of a subscription
	topics    map[string]*feed
	subs      []*Subscription
	listening chan struct{} // closed while there are subscriptions
}

// NewReader returns a reader of o.Topics, as AddTopics adds them. ctx bounds the call, not the reader. A backend that
// cannot follow a topic is ErrUnsupported.
func NewReader(ctx context.Context, b Backend, o ReaderOptions) (*Reader, error) {
	if c := b.Capabilities(); !c.Replay || !c.ReplayFollow {
		return nil, fmt.Errorf("durable: reader on %s: %w", c.Backend, ErrUnsupported)
	}
	if o.Backoff == nil {
		o.Backoff = DefaultBackoff
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Start.Kind() == StartAfter && len(o.Topics) > 1 {
		return nil, fmt.Errorf("durable: reader: %w", errCursorOfOne)
	}
	r := &Reader{backend: b, o: o, topics: map[string]*feed{}, listening: make(chan struct{})}
	r.life, r.end = context.WithCancel(context.Background())
	if err := r.add(ctx, o.Topics, o.Start); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

var errCursorOfOne = Invalid("Start", "After", "a cursor belongs to one topic: give each topic a start of its own")

// AddTopics begins to read ts, all of them or, with an error, none. When it returns, a topic that starts at Newest
// misses nothing that is stored afterwards.
//
// A start that is no longer stored is ErrPositionExpired, unless OnExpired says otherwise; then those partitions whose
// position is gone begin at their oldest record. A topic that is read already is an *InvalidError.
func (r *Reader) AddTopics(ctx context.Context, ts ...TopicStart) error {
	fallback := r.o.Start
	for _, t := range ts {
		if fallback.Kind() == StartAfter && t.Start.Kind() == StartDefault {
			return fmt.Errorf("durable: reader: add %q: %w", t.Topic, errCursorOfOne)
		}
	}
	return r.add(ctx, ts, fallback)
}

func (r *Reader) add(ctx context.Context, ts []TopicStart, fallback Start) error {
	feeds, err := r.reserve(ts, fallback)
	if err != nil {
		return fmt.Errorf("durable: reader: add: %w", err)
	}
	for _, f := range feeds {
		if err = f.prepare(ctx); err != nil {
			err = fmt.Errorf("durable: reader: add %q: %w", f.topic, err)
			break
		}
	}
	for _, f := range feeds {
		if err == nil && f.ctx.Err() != nil { // removed, or the reader was closed, while it was added
			err = fmt.Errorf("durable: reader: add %q: %w", f.topic, ErrClosed)
		}
	}
	for _, f := range feeds {
		if err != nil {
			f.ended()
			continue
		}
		go f.run() // its end is waited for by RemoveTopics and Close
	}
	return err
}

// reserve makes the feeds of ts known, so that no other call adds them too.
func (r *Reader) reserve(ts []TopicStart, fallback Start) ([]*feed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil {
		return nil, ErrClosed
	}
	var feeds []*feed
	for _, t := range ts {
		err := CheckTopic(t.Topic)
		if err == nil && (r.topics[t.Topic] != nil || slices.ContainsFunc(feeds, func(f *feed) bool { return f.topic == t.Topic })) {
			err = Invalid("topic", t.Topic, "it is read already; remove it first")
		}
		if err != nil {
			return nil, err
		}
		feeds = append(feeds, newFeed(r, t.Topic, t.Start.Or(fallback)))
	}
	for _, f := range feeds {
		r.topics[f.topic] = f
	}
	return feeds, nil
}

// RemoveTopics ends the reading of topics and returns once it has ended, or when ctx is done. What their
// subscriptions hold already is still theirs. A topic that is not read is no error.
func (r *Reader) RemoveTopics(ctx context.Context, topics ...string) error {
	var ending []*feed
	r.mu.Lock()
	for _, t := range topics {
		if f := r.topics[t]; f != nil {
			f.cancel()
			ending = append(ending, f)
		}
	}
	r.mu.Unlock()
	if err := await(ctx, ending); err != nil {
		return fmt.Errorf("durable: reader: remove %q: %w", topics, err)
	}
	return nil
}

// await waits for the end of feeds.
func await(ctx context.Context, feeds []*feed) error {
	for _, f := range feeds {
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Topics names what is read now, sorted.
func (r *Reader) Topics() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.topics))
}

// Jumps is how often the reader went on at the oldest record because a position was no longer stored.
func (r *Reader) Jumps() int64 { return r.jumps.Load() }

// Close ends all reading and all subscriptions. It returns when that is done or ctx is, and may be called again.
func (r *Reader) Close(ctx context.Context) error {
	r.mu.Lock()
	r.end()
	feeds := slices.Collect(maps.Values(r.topics))
	subs := slices.Clone(r.subs)
	r.mu.Unlock()
	for _, s := range subs {
		s.finish(ErrClosed)
	}
	if err := await(ctx, feeds); err != nil {
		return fmt.Errorf("durable: reader: close: %w", err)
	}
	return nil
}

// Subscribe hands out what the reader reads from now on; see Subscription. The error is an *InvalidError or ErrClosed.
func (r *Reader) Subscribe(o SubscribeOptions) (*Subscription, error) {
	if o.Buffer < 0 || o.BufferBytes < 0 {
		return nil, fmt.Errorf("durable: reader: subscribe: %w", Invalid("Buffer", "negative", "use a positive number, or 0 for the default"))
	}
	s := newSubscription(r, o)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil {
		return nil, fmt.Errorf("durable: reader: subscribe: %w", ErrClosed)
	}
	if r.subs = append(slices.Clip(r.subs), s); len(r.subs) == 1 {
		close(r.listening)
	}
	return s, nil
}

// remove forgets s.
func (r *Reader) remove(s *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.subs, s)
	if i < 0 {
		return
	}
	r.subs = slices.Concat(r.subs[:i], r.subs[i+1:]) // a new one: feeds go through the old one
	if len(r.subs) == 0 {
		r.listening = make(chan struct{})
	}
}

// listeners are the subscriptions; it waits for one until ctx is done, and the caller does not change them.
func (r *Reader) listeners(ctx context.Context) []*Subscription {
	for {
		r.mu.Lock()
		subs, listening := r.subs, r.listening
		r.mu.Unlock()
		if len(subs) > 0 {
			return subs
		}
		select {
		case <-listening:
		case <-ctx.Done():
			return nil
		}
	}
}
