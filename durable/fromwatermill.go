package durable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// watermillGrace bounds a wait for what a Pub/Sub does by itself: taking note of an ack, ending a call.
const watermillGrace = 5 * time.Second

// Watermill describes a Pub/Sub of Watermill for [FromWatermill].
type Watermill struct {
	// Name is Capabilities.Backend. Defaults to "watermill".
	Name string

	// Publisher stores what is appended; its Publish is safe for concurrent use and returns once a message is
	// stored. Required.
	Publisher message.Publisher

	// Subscriber makes the subscriber of one member of g in one topic, that of g.Topics[0]; the consumer closes it.
	// Members of one g.Name share the topic, and what is acknowledged is that for good. g.Start is the start of a
	// group that has no position in the topic yet: Oldest or Newest, which must be stored when Subscribe returns.
	// nil: the Pub/Sub has no groups, and Consume is ErrUnsupported.
	Subscriber func(g Group) (message.Subscriber, error)

	// Ordered says that the order per Key is kept whatever the number of members. Where it is not, a group with
	// Ordering PerKey is ErrUnsupported.
	Ordered bool

	// OldestOnly says that Subscriber cannot start at the newest message: Newest is ErrUnsupported.
	OldestOnly bool

	// WholeBatches hands all messages of an Append to one Publish. It is faster where the Pub/Sub has batches. In
	// return, an error leaves the outcome of all of them Unknown; otherwise that of one.
	WholeBatches bool

	// MaxMessageBytes is Capabilities.MaxMessageBytes.
	MaxMessageBytes int

	// DecodeErr tells whether the unmarshaller could not read msg, which it may change; it becomes
	// Delivery.DecodeErr. Optional.
	DecodeErr func(msg *message.Message) error

	// Close is called once, after the last call of Publish and after all subscribers were closed: usually closing
	// the Publisher, which otherwise stays the caller's. Optional.
	Close func() error
}

// FromWatermill makes a Pub/Sub of Watermill a Backend: to move to this module before the broker's adapter does, or for
// a broker that has an adapter there alone. The error is an *InvalidError.
//
// What Watermill's interfaces do not tell is not there: positions, starts After and At, Replay, Delivery.StoredAt,
// attempts over the death of a member, and claims that end when the broker takes a partition away: Claim.Context lives
// as long as the membership. A start that is no longer stored cannot be noticed, whatever Group.OnExpired says.
// Most subscribers hand out one message of a partition after the other (Capabilities.OneByOne), so that Concurrency
// means partitions there. A member that handles a message longer than the Pub/Sub waits may see it again.
//
// A delivery is acknowledged by Ack of the message and given back by Nack, which most Pub/Subs answer by handing it out
// again at once. Close waits until the subscribers have taken note of the acks, up to 5 s. A subscription that ends by
// itself is an error of Fetch, and is made again, by a new Subscriber, every second.
func FromWatermill(w Watermill) (Backend, error) {
	if w.Publisher == nil {
		return nil, Invalid("Publisher", "nil", "pass a publisher")
	}
	if err := notNegative("MaxMessageBytes", w.MaxMessageBytes); err != nil {
		return nil, err
	}
	w.Name = orDefault(w.Name, "watermill")
	return &watermillBackend{w: w, consumers: map[*watermillConsumer]struct{}{}, finished: make(chan struct{})}, nil
}

// watermillBackend is what FromWatermill makes.
type watermillBackend struct {
	w     Watermill
	calls sync.WaitGroup // of Publish, and of Consume

	mu        sync.Mutex
	closed    bool
	consumers map[*watermillConsumer]struct{}

	closing  sync.Once
	finished chan struct{} // closed when Close has done its work
	closeErr error         // read after finished
}

var _ Backend = (*watermillBackend)(nil)

// Capabilities implements Backend.
func (b *watermillBackend) Capabilities() Capabilities {
	groups := b.w.Subscriber != nil
	return Capabilities{
		Backend:         b.w.Name,
		Ack:             AckEach,
		Groups:          groups,
		OrderedGroup:    groups && b.w.Ordered,
		DynamicTopics:   groups,
		MaxMessageBytes: b.w.MaxMessageBytes,
		NoPositions:     true,
		OldestOnly:      b.w.OldestOnly,
		OneByOne:        true,
	}
}

// Replay implements Backend: it is ErrUnsupported.
func (b *watermillBackend) Replay(context.Context, string, Range) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) { yield(Record{}, b.lacks("replay", "read as a group")) }
}

// lacks is the refusal of what the Pub/Sub cannot do.
func (b *watermillBackend) lacks(what, remedy string) error {
	return fmt.Errorf("%s: %s: %w by a Pub/Sub of Watermill: %s", b.w.Name, what, ErrUnsupported, remedy)
}

// Consume implements Backend.
func (b *watermillBackend) Consume(ctx context.Context, g Group) (Consumer, error) {
	if err := b.check(g); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !b.enter() {
		return nil, ErrClosed
	}
	defer b.calls.Done()
	c := newWatermillConsumer(b, g)
	if err := c.SetTopics(ctx, g.Topics...); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watermillGrace)
		defer cancel()
		return nil, errors.Join(err, c.Close(ctx))
	}
	if b.keep(c) {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watermillGrace)
	defer cancel()
	return nil, errors.Join(ErrClosed, c.Close(ctx))
}

// keep makes c known to Close, which it may be too late for.
func (b *watermillBackend) keep(c *watermillConsumer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.consumers[c] = struct{}{}
	return true
}

// check returns an error unless g can be served.
func (b *watermillBackend) check(g Group) error {
	if err := CheckGroup(g); err != nil {
		return err
	}
	if b.w.Subscriber == nil {
		return b.lacks("groups", "this one only takes what is appended")
	}
	if g.Ordering == PerKey && !b.w.Ordered {
		return b.lacks("order per key", "set Group.Ordering to None")
	}
	for _, t := range g.Topics {
		switch t.Start.Or(g.Start).Kind() {
		case StartDefault, StartOldest:
		case StartNewest:
			if b.w.OldestOnly {
				return b.lacks("a start at the newest message", "start at Oldest")
			}
		case StartAfter, StartAt:
			return b.lacks("a start at a position or time", "start at Oldest or Newest")
		}
	}
	return nil
}

// enter begins a call that Close waits for; it ends with calls.Done.
func (b *watermillBackend) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.calls.Add(1)
	return true
}

// Close implements Backend. Where it returns at the end of ctx, what it began goes on.
func (b *watermillBackend) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.closing.Do(func() { go b.finish() })
	return awaitClose(ctx, b.finished, b.w.Name, &b.closeErr)
}

// finish closes in order: what reads, what still publishes, and then what both stand on.
func (b *watermillBackend) finish() {
	defer close(b.finished)
	ctx, cancel := context.WithTimeout(context.Background(), 2*watermillGrace)
	defer cancel()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		b.calls.Wait()
	}()
	timer := time.NewTimer(watermillGrace)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C: // a Publish without an end: closing the publisher may end it
	}
	b.mu.Lock()
	open := make([]*watermillConsumer, 0, len(b.consumers))
	for c := range b.consumers {
		open = append(open, c)
	}
	b.mu.Unlock()
	errs := make([]error, len(open)+1)
	var wg sync.WaitGroup
	for i, c := range open {
		wg.Go(func() { errs[i] = c.Close(ctx) })
	}
	wg.Wait()
	if b.w.Close != nil {
		errs[len(open)] = b.w.Close()
	}
	<-idle
	b.closeErr = errors.Join(errs...)
}

// awaitClose waits for finished until ctx is done; err is read after it.
func awaitClose(ctx context.Context, finished <-chan struct{}, what string, err *error) error {
	select {
	case <-finished:
		return *err
	default:
	}
	select {
	case <-finished:
		return *err
	case <-ctx.Done():
		return fmt.Errorf("%s: close: %w", what, context.Cause(ctx))
	}
}
