package rediskit

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	mostCommands = 1000    // of a pipeline; a larger batch is one of its own
	mostBytes    = 4 << 20 // of a pipeline, about
	mostQueued   = 1024    // batches that wait for the connection; more wait at the door
	inFlight     = 2       // pipelines: one is on its way while the other is executed
	keptBuffer   = 1 << 20 // bytes of the buffer that is kept for the next pipeline
)

// ErrStopped is what Send returns after Close.
var ErrStopped = errors.New("the writer was closed")

// WriterOptions describe a Writer.
type WriterOptions struct {
	Dial    func(context.Context) (net.Conn, error) // required; bounded
	Timeout time.Duration                           // of a pipeline; required
	Trailer []byte                                  // a command behind every pipeline; defaults to none
}

// Writer sends the batches of many callers over one connection, in order: whatever waits when the connection is free
// goes out together, without a timer. Nothing is sent twice. A connection that breaks is made again by the next
// batch. It is safe for concurrent use.
type Writer struct {
	o       WriterOptions
	queue   chan *Batch
	slots   chan struct{} // one element per pipeline in flight
	stop    chan struct{} // closed when Close begins
	until   time.Time     // when what still waits is refused; written before stop is closed
	stopped chan struct{} // closed when everything has ended
	once    sync.Once
	readers sync.WaitGroup

	writing sync.Mutex // held while a connection is made and written to
	link    *link      // guarded by writing
	out     []byte     // guarded by writing
}

// NewWriter returns a Writer to the server of c, see [NewWriter], or to the masters of its cluster. Its timeout is that
// of the handshake too.
func (c Config) NewWriter(timeout time.Duration, trailer []byte) Sender {
	c = c.Ready()
	c.Timeout = timeout
	o := WriterOptions{Timeout: timeout, Trailer: trailer}
	if c.Clustered() {
		return newFleet(c, o)
	}
	o.Dial = func(ctx context.Context) (net.Conn, error) { return c.Dial(ctx) }
	return NewWriter(o)
}

// NewWriter returns a Writer that connects when it is first used. The caller closes it.
func NewWriter(o WriterOptions) *Writer {
	w := &Writer{
		o: o, queue: make(chan *Batch, mostQueued), slots: make(chan struct{}, inFlight),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go w.run() // ends with Close, which waits for it
	return w
}

// Send sends b and waits for its replies or the end of ctx. The error says why b was not answered.
func (w *Writer) Send(ctx context.Context, b *Batch) (Fate, error) {
	if err := w.post(ctx, b); err != nil {
		return NotSent, err
	}
	return w.await(ctx, b)
}

// post writes or queues b; after an error it did neither.
func (w *Writer) post(ctx context.Context, b *Batch) error {
	if w.direct(b) {
		return nil
	}
	select {
	case w.queue <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stop:
		return ErrStopped
	}
}

// await waits for the replies of b, which was posted.
func (w *Writer) await(ctx context.Context, b *Batch) (Fate, error) {
	select {
	case <-b.done:
	case <-ctx.Done():
		if b.drop() {
			return NotSent, ctx.Err()
		}
		return Unknown, ctx.Err()
	case <-w.stopped: // the loop ended before b was queued, or b is done
		if b.drop() {
			return NotSent, ErrStopped
		}
		<-b.done
	}
	if b.fate == NotSent {
		return NotSent, b.err
	}
	return Answered, nil
}

// Close sends what waits, as far as that begins within Timeout, and ends the connection. After that it takes at most as
// long as dialling and two pipelines may.
func (w *Writer) Close() {
	w.once.Do(func() {
		w.until = time.Now().Add(w.o.Timeout)
		close(w.stop)
	})
	<-w.stopped
}

// late tells whether Close waits for too long already.
func (w *Writer) late() bool {
	return w.closing() && time.Now().After(w.until)
}

// run sends what waits in one pipeline, until the Writer stops and nothing waits.
func (w *Writer) run() {
	defer close(w.stopped)
	for {
		var first *Batch
		select {
		case first = <-w.queue:
		case <-w.stop:
			select {
			case first = <-w.queue:
			default:
				w.end()
				return
			}
		}
		w.slots <- struct{}{} // free within Timeout
		p := w.gather(first)
		switch {
		case len(p.batches) == 0:
			<-w.slots
		case w.late():
			p.fate = NotSent
			p.fail(ErrStopped)
			<-w.slots
		default:
			w.write(p)
		}
	}
}

// end waits for the pipelines in flight and closes the connection.
func (w *Writer) end() {
	w.writing.Lock()
	defer w.writing.Unlock()
	for range inFlight {
		w.slots <- struct{}{}
	}
	if w.link != nil {
		_ = w.link.conn.Close()
	}
	w.readers.Wait()
}

// gather is first and whatever else waits now.
func (w *Writer) gather(first *Batch) *pipeline {
	p := &pipeline{trailed: len(w.o.Trailer) > 0}
	n, size := 0, 0
	for b := first; b != nil; {
		if b.state.CompareAndSwap(waiting, taken) {
			p.batches = append(p.batches, b)
			n, size = n+b.N, size+len(b.Wire)
		}
		b = nil
		if n < mostCommands && size < mostBytes {
			select {
			case b = <-w.queue:
			default:
			}
		}
	}
	return p
}

// write sends p over the connection, which is made where there is none.
func (w *Writer) write(p *pipeline) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.enter(p); err != nil {
		p.fate = NotSent
		p.fail(err)
		<-w.slots
		return
	}
	w.put(p)
}

// enter puts p in flight and holds its lock; after an error it does neither.
func (w *Writer) enter(p *pipeline) error {
	if w.link != nil && w.link.begin(p, w.o.Timeout) {
		return nil
	}
	w.link = nil
	conn, err := w.o.Dial(context.Background())
	if err != nil {
		return err
	}
	w.link = &link{conn: conn, free: func() { <-w.slots }}
	w.link.begin(p, w.o.Timeout)
	w.readers.Go(w.link.read)
	return nil
}

// put writes p, which is in flight, and releases its lock.
func (w *Writer) put(p *pipeline) {
	defer p.writing.Unlock()
	_ = w.link.conn.SetWriteDeadline(p.deadline)
	n, err := w.link.conn.Write(w.bytes(p))
	if err == nil {
		return
	}
	if n == 0 {
		p.fate = NotSent
	}
	_ = w.link.conn.Close() // the reader ends p
}

// bytes is what is to be written for p.
func (w *Writer) bytes(p *pipeline) []byte {
	if len(p.batches) == 1 && !p.trailed {
		return p.batches[0].Wire
	}
	if cap(w.out) > keptBuffer {
		w.out = nil
	}
	w.out = w.out[:0]
	for _, b := range p.batches {
		w.out = append(w.out, b.Wire...)
	}
	w.out = append(w.out, w.o.Trailer...)
	return w.out
}
