package rediskit

import (
	"bytes"
	"context"
	"errors"
	"strings"
)

// LostError stands for the reply of a command of a batch, the rest of which was answered.
type LostError struct {
	Fate   Fate // NotSent or Unknown
	reason string
}

// Error says why there is no reply.
func (e *LostError) Error() string { return e.reason }

// lost begins the line that stands for a missing reply; no server sends it.
const lost = '!'

func newLostError(line []byte) *LostError {
	fate := Unknown
	if line[0] == 'N' {
		fate = NotSent
	}
	return &LostError{Fate: fate, reason: string(line[1:])}
}

func lostReply(fate Fate, err error) []byte {
	kind := "U"
	if fate == NotSent {
		kind = "N"
	}
	text := strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error())
	return []byte("!" + kind + text + "\r\n")
}

// leg is what goes to one node at once.
type leg struct {
	addr     string
	errands  []*errand
	commands int // with those that announce others
	batch    *Batch
	w        *Writer
	fate     Fate
	err      error
}

// journey is one Send through a cluster.
type journey struct {
	f       *fleet
	b       *Batch
	all     []errand
	todo    []*errand // to be sent in the next round
	sent    bool      // something was, in a round before
	whole   *leg      // had all commands and their replies; nil: the replies are those of all
	trailer []byte    // the least of all
}

// round sends what is to be done. The error is that of the whole batch, whose outcome is fate.
func (j *journey) round(ctx context.Context, round int) (Fate, error) {
	legs, err := j.plan(ctx)
	if err != nil && !j.sent {
		return NotSent, err
	}
	if err != nil {
		j.giveUp(err)
		return Answered, nil
	}
	for _, l := range legs {
		l.batch = NewBatch(j.wire(l), l.commands)
		if l.w, l.err = j.f.writer(l.addr); l.err == nil {
			l.err = l.w.post(ctx, l.batch)
		}
	}
	j.todo = nil
	fate := NotSent
	for _, l := range legs {
		if l.err == nil {
			l.fate, l.err = l.w.await(ctx, l.batch)
		}
		if l.fate != NotSent {
			j.sent = true
		}
		if l.fate == Unknown {
			fate = Unknown
		}
	}
	if ctx.Err() != nil && (fate == Unknown || !j.sent) {
		return fate, ctx.Err()
	}
	first, looked := round == 0 && len(legs) == 1, false
	for _, l := range legs {
		if l.fate == NotSent {
			if first && errors.Is(l.err, ErrStopped) && j.f.isClosed() {
				return NotSent, ErrStopped
			}
			if !looked {
				looked = true
				_ = j.f.t.look(ctx) // else the slots are where they were
			}
			j.unreached(ctx, l, round)
			continue
		}
		j.take(l, first)
	}
	return Answered, nil
}

// plan sorts what is to be done by node.
func (j *journey) plan(ctx context.Context) ([]*leg, error) {
	var legs []*leg
	var last *leg
	lastSlot := -1
	for _, e := range j.todo {
		if last == nil || e.ask || int(e.slot) != lastSlot {
			addr := e.at
			if !e.ask {
				var err error
				if addr, err = j.f.t.master(ctx, e.slot); err != nil {
					return nil, err
				}
			}
			last, lastSlot = nil, int(e.slot)
			for _, l := range legs {
				if l.addr == addr {
					last = l
				}
			}
			if last == nil {
				last = &leg{addr: addr}
				legs = append(legs, last)
			}
		}
		last.errands = append(last.errands, e)
		last.commands++
		if e.ask {
			last.commands++
			last, lastSlot = nil, -1
		}
	}
	return legs, nil
}

// asking announces a command to a node that does not have its slot yet.
var asking = AppendCommand(nil, "asking")

// wire is the commands of l.
func (j *journey) wire(l *leg) []byte {
	if len(l.errands) == len(j.all) && l.commands == len(j.all) {
		return j.b.Wire
	}
	size := 0
	for _, e := range l.errands {
		size += e.to - e.from + len(asking)
	}
	wire := make([]byte, 0, size)
	for _, e := range l.errands {
		if e.ask {
			wire = append(wire, asking...)
		}
		wire = append(wire, j.b.Wire[e.from:e.to]...)
	}
	return wire
}

// unreached deals with a leg of which nothing was sent: it goes to where the slots are after a look, if that is elsewhere, or
// if its writer was retired meanwhile.
func (j *journey) unreached(ctx context.Context, l *leg, round int) {
	retired := errors.Is(l.err, ErrStopped) && !j.f.isClosed()
	for _, e := range l.errands {
		addr, err := j.f.t.master(ctx, e.slot)
		if err == nil && (addr != l.addr || retired) && round+1 < mostRounds && ctx.Err() == nil {
			e.ask = false
			j.todo = append(j.todo, e)
			continue
		}
		e.reply = lostReply(NotSent, l.err)
	}
}

// take reads the replies of l; where it had all commands and none is to be sent elsewhere, they stay as they are.
func (j *journey) take(l *leg, all bool) {
	if l.batch.err != nil {
		j.f.t.doubt()
	}
	if all && !l.batch.refused {
		j.whole, j.trailer = l, l.batch.trailer
		return
	}
	stored := false
	var moved map[uint16]bool // slots of which something is to be sent elsewhere
	replies, got := l.batch.Replies()
	for _, e := range l.errands {
		if e.ask {
			got--
			replies.Skip()
		}
		if got--; got < 0 {
			e.reply = lostReply(Unknown, l.batch.err)
			continue
		}
		reply := replies.rest
		replies.Skip()
		reply = reply[:len(reply)-len(replies.rest)]
		addr, slot, ask, redirected := "", uint16(0), false, false
		if reply[0] == '-' {
			addr, slot, ask, redirected = redirect(string(bytes.TrimSpace(reply[1:])), l.addr)
		}
		if !redirected {
			e.reply, stored = reply, stored || reply[0] != '-'
			if moved[e.slot] && reply[0] != '-' {
				j.keepOrder(e.slot)
			}
			continue
		}
		if !ask {
			j.f.t.moved(slot, addr)
		}
		if moved == nil {
			moved = map[uint16]bool{}
		}
		moved[e.slot] = true
		e.ask, e.at = ask, addr
		j.todo = append(j.todo, e)
	}
	if stored {
		j.least(l.batch.trailer)
	}
}

// keepOrder gives up what is to be sent elsewhere of a slot of which something behind it was stored here.
func (j *journey) keepOrder(slot uint16) {
	left := j.todo[:0]
	for _, e := range j.todo {
		if e.slot == slot {
			e.reply = lostReply(NotSent, errors.New("the slot moved away and came back"))
			continue
		}
		left = append(left, e)
	}
	j.todo = left
}

// giveUp ends what is still to be done.
func (j *journey) giveUp(err error) {
	for _, e := range j.todo {
		e.reply = lostReply(NotSent, err)
	}
	j.todo = nil
}

// noTrailer stands for the reply to a trailer that did not come.
var noTrailer = lostReply(Unknown, errors.New("the connection ended before the reply"))

// least keeps the worst reply to the trailers: an error, or that one did not come, else the smallest number.
func (j *journey) least(trailer []byte) {
	if len(j.f.o.Trailer) == 0 {
		return
	}
	if len(trailer) == 0 {
		trailer = noTrailer
	}
	mine, other := NewReply(j.trailer), NewReply(trailer)
	if len(j.trailer) == 0 || mine.Kind() == ':' && (other.Kind() != ':' || other.Int() < mine.Int()) {
		j.trailer = trailer
	}
}

// finish gives the batch its replies.
func (j *journey) finish() (Fate, error) {
	b := j.b
	b.trailer = j.trailer
	if j.whole != nil {
		b.raw, b.got, b.err = j.whole.batch.raw, j.whole.batch.got, j.whole.batch.err
		return Answered, nil
	}
	size, unsent := 0, len(j.all) > 0
	for i := range j.all {
		size += len(j.all[i].reply)
		unsent = unsent && bytes.HasPrefix(j.all[i].reply, []byte{lost, 'N'})
	}
	if unsent {
		r := NewReply(j.all[0].reply)
		return NotSent, r.Err()
	}
	b.raw = make([]byte, 0, size)
	for i := range j.all {
		b.raw = append(b.raw, j.all[i].reply...)
	}
	b.got = b.N
	return Answered, nil
}
