package durable

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"
)

// fake is a Backend with one Consumer that delivers what is put in and records what comes back.
type fake struct {
	mode AckMode
	feed chan []Delivery // what Fetch returns, cut to its max
	errs chan error      // what Fetch returns as an error
	ack  func(ds []Delivery) error

	rest []Delivery // of Fetch alone

	mu       sync.Mutex
	acked    []Delivery
	released []Delivery
	fetched  int
	bytes    int
	closed   bool
}

func newFake(mode AckMode) *fake {
	return &fake{mode: mode, feed: make(chan []Delivery, 1000), errs: make(chan error, 10)}
}

func (f *fake) Append(context.Context, string, ...*message.Message) ([]Position, error) {
	return nil, ErrUnsupported
}

func (f *fake) Consume(context.Context, Group) (Consumer, error) { return f, nil }

func (f *fake) Replay(context.Context, string, Range) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) { yield(Record{}, ErrUnsupported) }
}

func (f *fake) Capabilities() Capabilities {
	return Capabilities{Backend: "fake", Ack: f.mode, Groups: true}
}

func (f *fake) Fetch(ctx context.Context, most int) ([]Delivery, error) {
	if len(f.rest) == 0 {
		select {
		case err := <-f.errs:
			return nil, err
		case f.rest = <-f.feed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n := min(most, len(f.rest))
	ds := f.rest[:n:n]
	f.rest = f.rest[n:]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched += n
	for _, d := range ds {
		f.bytes += Size(d.Message)
	}
	return ds, nil
}

func (f *fake) Ack(_ context.Context, ds ...Delivery) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ack != nil {
		if err := f.ack(ds); err != nil {
			return err
		}
	}
	f.acked = append(f.acked, ds...)
	return nil
}

func (f *fake) Release(ds ...Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, ds...)
}

func (f *fake) SetTopics(context.Context, ...TopicStart) error { return ErrUnsupported }

func (f *fake) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fake) ackedPositions() []string { return f.positions(&f.acked) }

func (f *fake) releasedPositions() []string { return f.positions(&f.released) }

func (f *fake) positions(ds *[]Delivery) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, d := range *ds {
		out = append(out, string(d.Position))
	}
	return out
}

func (f *fake) fetches() (events, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetched, f.bytes
}

// deliveries are one per key, in positions from first on.
func deliveries(c *Claim, first int, keys ...string) []Delivery {
	ds := make([]Delivery, len(keys))
	for i, k := range keys {
		p := strconv.Itoa(first + i)
		ds[i] = Delivery{
			Message: message.NewMessage(p, []byte(k)), Topic: c.Topic(), Position: Position(p), Claim: c, Key: k, Attempt: 1,
		}
	}
	return ds
}

// process is a Process that runs in a synctest bubble.
type process struct {
	stop context.CancelFunc
	done chan error
}

func start(b Backend, h message.NoPublishHandlerFunc, o ProcessOptions) *process {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), testKey{}, "value"))
	p := &process{stop: cancel, done: make(chan error, 1)}
	o.Logger = slog.New(slog.DiscardHandler)
	go func() { p.done <- Process(ctx, b, Group{Name: "g", Topics: Topics("t")}, h, o) }()
	return p
}

type testKey struct{}

// end stops the process and returns its error.
func (p *process) end() error {
	p.stop()
	return <-p.done
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func wantList(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantNil(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: got error %v, want nil", what, err)
	}
}
