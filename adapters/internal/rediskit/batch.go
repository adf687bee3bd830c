package rediskit

import "sync/atomic"

// Fate is what became of a batch.
type Fate int

// The fates.
const (
	NotSent  Fate = iota // nothing of it reached the server
	Unknown              // it may have, and nobody waits for the replies
	Answered             // its replies can be read, and Err tells why the last ones are missing
)

// The states of a batch.
const (
	waiting int32 = iota
	taken         // the writer has it
	dropped       // its caller left before the writer took it
)

// Batch is encoded commands on their way to the server, and their replies. It is sent once; its methods are for after
// Send has returned Answered.
type Batch struct {
	Wire []byte // the commands; a Writer reads it until Send has returned NotSent or Answered
	N    int    // how many

	state   atomic.Int32
	done    chan struct{} // closed when the fields below are set
	fate    Fate
	raw     []byte // the replies one after the other
	got     int    // how many
	refused bool   // one of them is an error
	err     error  // why there are fewer than N
	trailer []byte // the reply to the Writer's trailer
}

// NewBatch is a batch of n commands.
func NewBatch(wire []byte, n int) *Batch {
	return &Batch{Wire: wire, N: n, done: make(chan struct{})}
}

// drop takes b, whose caller leaves, from the Writer and reports false where that has taken it. What is dropped stays in
// the queue until the connection is free, without its commands: else callers that come and leave would fill the memory.
func (b *Batch) drop() bool {
	if !b.state.CompareAndSwap(waiting, dropped) {
		return false
	}
	b.Wire = nil
	return true
}

// Replies is a cursor over the replies that came and their number, at most N. The batch keeps their bytes.
func (b *Batch) Replies() (Reply, int) { return NewReply(b.raw), b.got }

// Err tells why there are fewer than N replies; whether the server has executed those commands is unknown.
func (b *Batch) Err() error { return b.err }

// Trailer is the reply to the Writer's trailer, empty where none came.
func (b *Batch) Trailer() Reply { return NewReply(b.trailer) }

func (b *Batch) finish(fate Fate, err error) {
	b.fate, b.err = fate, err
	close(b.done)
}
