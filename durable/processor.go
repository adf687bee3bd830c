package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Process joins g as one member and runs h on what it is given, until ctx ends or the backend ends it. It blocks.
//
// Order. Deliveries with one key run one after the other, in fetch order; different keys side by side, up to
// Concurrency. Deliveries without a key have no order among themselves. A slow key stalls itself alone until
// MaxInFlight is reached; when it then holds the window for StallAfter, a log line and [Monitor] name it. Where the
// consumer is a [Pauser] and there are several claims, one that holds more than half of MaxInFlight is not fetched from
// until it holds a quarter, so that the others go on; and an eighth of MaxInFlight is kept for claims that hold next to
// nothing, so that one that is gained while others do not move goes on, too.
//
// Results. A nil error of h acknowledges the delivery (in batches, as the backend's Capabilities.Ack says). One with a
// verb does what its constructor says: [Park], [Release], [Stop]. Any other is a retry: after the delay of [RetryAfter],
// else of ProcessOptions.Backoff, without end; a policy that gives up is the handler's to add. A delivery that waits for
// its retry holds its key and its place in flight, but neither a worker nor a goroutine. A panic is recovered and retried
// as a *PanicError; it is logged with its stack once for each delivery. The error alone decides: the message's own Ack
// and Nack mean nothing here. All attempts at a delivery, and the policies around h, have the same message: a handler
// that changes its payload or metadata, such as one that decrypts, works on a Copy.
//
// Contexts. The message's context has the values of ctx and the delivery (see DeliveryOf). It ends when the claim is
// lost and when DrainTimeout is over, not when ctx ends.
//
// Claims. When a claim is draining, what was not started is released in order, what runs finishes, and its
// acknowledgements are flushed at once. Under AckThrough a delivery can be acknowledged only with all before it: what
// lies before one that was started is therefore handled first, started within 5 s or half of DrainTimeout, whichever is
// less. So an orderly hand-over, or end of Process, has a delivery handled again only where one before it in its
// partition failed and waits for its retry, fails meanwhile, is parked or released, or could not be started in that time.
// When a claim is lost, the contexts of its handlers end and their results are ignored.
//
// Errors. Transient ones of the backend are logged when the state changes and retried. ErrClosed, ErrPositionExpired,
// ErrFenced and ErrUnsupported end Process, as the end of ctx does: nothing more is fetched, all claims are drained as
// above (retries that wait are released), running handlers finish within DrainTimeout, acknowledgements are flushed
// and the group is left. After the end of ctx the error is nil, or what went wrong on the way out. A handler that
// ignores its context for 5 s more is left behind, and the error says how many were. So is a Consumer.Ack that ignores
// its context, after 15 s.
func Process(ctx context.Context, b Backend, g Group, h message.NoPublishHandlerFunc, o ProcessOptions) error {
	if h == nil {
		return Invalid("handler", "nil", "pass a handler")
	}
	return processWith(ctx, b, g, func(r *run) { r.handler, r.worker = h, r.work }, o)
}

// processWith is a run that handle gives its handler and its worker.
func processWith(ctx context.Context, b Backend, g Group, handle func(*run), o ProcessOptions) error {
	if b == nil {
		return Invalid("backend", "nil", "pass a backend")
	}
	o, err := o.filled()
	if err != nil {
		return err
	}
	if err := CheckGroup(g); err != nil {
		return err
	}
	r, err := join(ctx, b, g, o)
	if err != nil {
		return err
	}
	handle(r)
	return r.toTheEnd()
}

// join makes a run of a new member of g. o is filled.
func join(ctx context.Context, b Backend, g Group, o ProcessOptions) (*run, error) {
	running := new(atomic.Pointer[run])
	g.Waiting = func() int {
		if r := running.Load(); r != nil {
			return r.inWaiting()
		}
		return 0
	}
	consumer, err := b.Consume(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("durable: join group %q: %w", g.Name, err)
	}
	r := newRun(ctx, b.Capabilities().Ack, consumer, o)
	r.begun = running
	r.group = g.Name
	r.logger = o.Logger.With("group", g.Name)
	return r, nil
}

// toTheEnd runs until the context of r ends or the backend ends it.
func (r *run) toTheEnd() error {
	o := r.o
	r.begun.Store(r)
	o.Monitor.begin(r)
	defer o.Monitor.end(r)
	r.loops.Go(r.ackLoop)
	r.loops.Go(r.retryLoop)
	err := r.fetchLoop()
	if err = errors.Join(err, r.shutdown(), r.stopReason()); err != nil {
		return fmt.Errorf("durable: process group %q: %w", r.group, err)
	}
	return nil
}

// stopReason is what a handler ended Process with, if one did. The caller has shut down.
func (r *run) stopReason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopErr
}

// run is one call of Process.
type run struct {
	o           ProcessOptions
	throughMode bool
	handler     message.NoPublishHandlerFunc // of Process
	batch       *batching                    // of ProcessBatch, nil in Process
	giving      *giving                      // of a Subscriber, nil elsewhere
	worker      func()
	workersMost int  // how many there are
	strict      bool // deliveries without a key are in order, too, within each claim
	consumer    Consumer
	pauser      Pauser // nil where the consumer is none
	group       string
	begun       *atomic.Pointer[run] // for Group.Waiting; nil inside until handlers may run
	logger      *slog.Logger

	values    context.Context // what Process was given
	fetching  context.Context // ends when fetching must
	stopFetch context.CancelFunc
	acking    context.Context // ends when acknowledging must give up
	stopAck   context.CancelCauseFunc

	loops   sync.WaitGroup // acknowledgements, retries, one watcher per claim
	workers sync.WaitGroup
	ackKick chan struct{} // 1: look at the acknowledgements
	ackEnd  chan struct{} // closed: flush the last and end
	ackErr  error         // of the last flush; read after loops
	retryAt chan struct{} // 1: the earliest retry changed
	room    chan struct{} // 1: something was let go
	look    *time.Timer   // the fetcher's, for a window that stays full
	drained chan struct{} // closed when stopping and nothing runs
	ended   chan struct{} // closed when claims need no watching any more

	pausing sync.Mutex // held over calls of pauser; taken before mu

	mu          sync.Mutex // never held over I/O or a callback
	idle        sync.Cond  // workers without work
	idlers      int
	started     int  // workers
	running     int  // handlers
	waking      bool // a worker was woken or started and has not taken anything yet
	stopping    bool
	quit        bool // workers end
	flush       bool // acknowledge what there is
	wantRoom    bool // the fetcher waits
	alone       bool // the pauser has one claim at most
	ready       taskQueue
	spare       []*lane
	claims      map[*Claim]*claimed
	held        int
	heldBytes   int
	retries     retryHeap
	waiting     int // tasks in state taskWaiting
	parked      int // tasks in state taskParked
	topics      map[string]*TopicStats
	stalled     *Stall // not nil while the window is full and does not move
	stalledTask *task  // the one that it names
	nextLook    time.Time
	stopErr     error // what Stop was given first
	acks        ackBatch
	dirty       []*claimed // AckThrough: claims with through set
	spareAcks   ackBatch   // empty, for its memory
	noDrainers  bool       // drained is closed
}

func newRun(ctx context.Context, mode AckMode, c Consumer, o ProcessOptions) *run {
	r := &run{
		o: o, workersMost: o.Concurrency, throughMode: mode == AckThrough, consumer: c,
		values:  ctx,
		ackKick: make(chan struct{}, 1),
		ackEnd:  make(chan struct{}),
		retryAt: make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		drained: make(chan struct{}),
		ended:   make(chan struct{}),
		claims:  make(map[*Claim]*claimed),
		topics:  make(map[string]*TopicStats),
	}
	r.pauser, _ = c.(Pauser)
	r.idle.L = &r.mu
	r.fetching, r.stopFetch = context.WithCancel(ctx)
	r.acking, r.stopAck = context.WithCancelCause(context.WithoutCancel(ctx))
	return r
}

// poke leaves one wake-up in c, which has room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// terminal tells whether an error of a Consumer ends the membership.
func terminal(err error) bool {
	return errors.Is(err, ErrClosed) || errors.Is(err, ErrPositionExpired) ||
		errors.Is(err, ErrFenced) || errors.Is(err, ErrUnsupported)
}
