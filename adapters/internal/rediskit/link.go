package rediskit

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	readBuffer = 32 << 10
	replySize  = 24 // bytes of a usual reply: an entry id
)

var errUnasked = errors.New("a reply that nothing asked for")

// pipeline is what was written at once.
type pipeline struct {
	batches  []*Batch
	trailed  bool
	deadline time.Time
	writing  sync.Mutex // held while the batches are read; guards fate
	fate     Fate       // of the batches that get no reply: NotSent or Answered
}

// link is one connection of a Writer. Its reader waits for replies, and for the end of an idle connection.
type link struct {
	conn net.Conn
	free func() // called when a pipeline is over

	mu     sync.Mutex
	flight []*pipeline // in order of writing
	broken bool        // nothing more is begun
}

// begin notes p before it is written, within timeout, and holds its lock; false, and no lock, where the connection has
// ended.
func (l *link) begin(p *pipeline, timeout time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return false
	}
	p.writing.Lock() // nobody else knows p yet
	p.fate, p.deadline = Answered, time.Now().Add(timeout)
	l.flight = append(l.flight, p)
	if len(l.flight) == 1 {
		_ = l.conn.SetReadDeadline(p.deadline) // on an error the reader finds out
	}
	return true
}

func (l *link) head() *pipeline {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.flight) == 0 {
		return nil
	}
	return l.flight[0]
}

// leave takes the first pipeline out of flight.
func (l *link) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flight[0] = nil
	l.flight = l.flight[1:]
	var next time.Time
	if len(l.flight) > 0 {
		next = l.flight[0].deadline
	}
	_ = l.conn.SetReadDeadline(next)
}

// retire lets nothing more begin, and returns what is in flight.
func (l *link) retire() []*pipeline {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	return l.flight
}

// read hands replies out until the connection ends.
func (l *link) read() {
	err := l.serve(bufio.NewReaderSize(l.conn, readBuffer))
	left := l.retire()
	_ = l.conn.Close()
	for _, p := range left {
		p.fail(err)
		l.free()
	}
}

// serve hands replies out until the connection breaks, or the last one of a server that became a replica has come.
func (l *link) serve(in *bufio.Reader) error {
	for stale := false; ; {
		if _, err := in.Peek(1); err != nil {
			return unexpected(err)
		}
		p := l.head()
		if p == nil {
			return errUnasked
		}
		refused, err := p.read(in)
		if err != nil {
			return unexpected(err)
		}
		l.leave()
		stale = stale || refused
		over := stale && len(l.retire()) == 0 // before the answer: who tries again at once gets another connection
		p.answered()
		l.free()
		if over {
			return nil
		}
	}
}

var readOnly = []byte("-READONLY")

// read reads the replies of p and tells whether one of them says that the server is a replica.
func (p *pipeline) read(in *bufio.Reader) (stale bool, err error) {
	for _, b := range p.batches {
		if b.raw == nil {
			b.raw = make([]byte, 0, replySize*b.N)
		}
		for b.got < b.N {
			from := len(b.raw)
			if b.raw, err = ReadReply(in, b.raw); err != nil {
				b.raw = b.raw[:from]
				return stale, err
			}
			b.got++
			b.refused = b.refused || b.raw[from] == '-'
			stale = stale || bytes.HasPrefix(b.raw[from:], readOnly)
		}
	}
	if !p.trailed {
		return stale, nil
	}
	trailer, err := ReadReply(in, nil)
	if err != nil {
		return stale, err
	}
	for _, b := range p.batches {
		b.trailer = trailer
	}
	return stale, nil
}

// answered ends the batches of p. What was answered was written, and the lock makes sure that nobody reads it.
func (p *pipeline) answered() {
	p.writing.Lock()
	defer p.writing.Unlock()
	for _, b := range p.batches {
		b.finish(Answered, nil)
	}
}

// fail ends the batches of p without their missing replies. The connection is closed, so that writing ends too.
func (p *pipeline) fail(err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	for _, b := range p.batches {
		b.finish(p.fate, err)
	}
}
