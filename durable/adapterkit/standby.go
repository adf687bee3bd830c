package adapterkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Reader is a Log that is read record by record.
type Reader interface {
	Log
	// Look moves Bounds to where they are now.
	Look() error
	// Read is the record at an offset within Bounds, and the offset of the next one.
	Read(offset int64) (rec durable.Record, next int64, err error)
}

// Place is a group's place in a topic of one partition, where one member at a time works: the one that holds a lock or
// a lease of the store. Its positions are those of AppendPosition. Standby calls its methods one at a time.
type Place interface {
	Reader
	// Enter stores what start returns as the group's place where it has none, so that only one member does.
	Enter(start func() (int64, error)) error
	// Hold makes the caller the holder, unless another member is: then ok is false. It does not wait. At is where the
	// group goes on, and epoch is greater with every holder. An ErrPositionExpired comes with the oldest offset as at.
	// Store follows, where the member goes on.
	Hold() (at, epoch int64, ok bool, err error)
	// Store keeps for the group that everything before through is acknowledged, and the epoch of the hold. It stores
	// nothing and returns ErrFenced where the hold is over, as a lease may be: its claim is lost then, and the member
	// stands by again.
	Store(through int64) error
	// Close ends the hold, if any.
	Close() error
}

// Standby is a durable.Consumer for stores that have locks but tell nobody that something was stored: for each topic
// the member that gets the lock works, and the others stand by and look again from time to time.
type Standby struct {
	backend string
	gate    *Gate
	group   durable.Group
	poll    time.Duration
	life    context.Context // of its claims
	end     context.CancelFunc

	mu     sync.Mutex // held while the places are called
	topics []*standing
	seats  Seats[*standing]
	late   int64
}

// standing is a member's place in one topic.
type standing struct {
	topic string
	place Place
	holds bool
}

var _ durable.Consumer = (*Standby)(nil)

// NewStandby returns a member of g, which looks every poll (above 0) and is closed with gate. Join opens its place in a
// topic. Name is the backend's, for errors.
func NewStandby(ctx context.Context, name string, gate *Gate, g durable.Group, poll time.Duration, join func(topic string) (Place, error)) (*Standby, error) {
	s := &Standby{backend: name, gate: gate, group: g, poll: poll}
	if err := durable.CheckGroup(g); err != nil {
		return nil, s.wrap("consume", err)
	}
	if poll <= 0 {
		return nil, s.wrap("consume", durable.Invalid("poll", poll.String(), "use a duration above 0"))
	}
	if err := gate.Enter(ctx); err != nil {
		return nil, s.wrap("consume", err)
	}
	defer gate.Leave()
	s.life, s.end = context.WithCancel(context.Background())
	for _, t := range g.Topics {
		if err := s.join(t, join); err != nil {
			return nil, errors.Join(s.wrap(fmt.Sprintf("consume %q", t.Topic), err), s.Close(ctx))
		}
	}
	gate.Keep(s)
	return s, nil
}

// join adds a topic, in which the group has a place then.
func (s *Standby) join(t durable.TopicStart, join func(topic string) (Place, error)) error {
	start := t.Start.Or(s.group.Start)
	if err := CheckStart(start, 1); err != nil {
		return err
	}
	p, err := join(t.Topic)
	if err != nil {
		return err
	}
	s.topics = append(s.topics, &standing{topic: t.Topic, place: p})
	return p.Enter(func() (int64, error) {
		at, err := Resolve(start, 0, p)
		return at, s.settle(t.Topic, err)
	})
}

func (s *Standby) settle(topic string, err error) error {
	return OnExpired(s.group.OnExpired, err, func(err error) {
		slog.Warn(s.backend+": going on at the oldest record", "group", s.group.Name, "topic", topic, "error", err)
	})
}

// Fetch implements durable.Consumer.
func (s *Standby) Fetch(ctx context.Context, most int) (ds []durable.Delivery, err error) {
	err = Until(ctx, s.life.Done(), time.Tick(s.poll), func() (bool, error) {
		ds, err = s.take(max(most, 1))
		return len(ds) > 0, err
	})
	if len(ds) > 0 {
		return ds, nil // an error comes again
	}
	return nil, s.wrap("fetch", err)
}

func (s *Standby) take(most int) (ds []durable.Delivery, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, durable.ErrClosed
	}
	for _, x := range s.topics {
		if !x.holds {
			err = errors.Join(err, s.hold(x))
		}
	}
	return ds, errors.Join(err, s.seats.Share(most, func(seat *Seat[*standing], most int) (int, error) {
		some, err := s.fetch(seat, most)
		ds = append(ds, some...)
		return len(some), err
	}))
}

// hold takes a seat at x where nobody else has it.
func (s *Standby) hold(x *standing) error {
	at, epoch, ok, err := x.place.Hold()
	if err := s.settle(x.topic, err); err != nil || !ok {
		return err
	}
	seat := &Seat[*standing]{Of: x, Claim: durable.NewClaim(s.life, x.topic, 0, epoch)}
	seat.Reset(at)
	s.seats.Add(seat)
	x.holds = true
	return s.store(seat, at)
}

// store keeps through, or notes that the hold of seat is over.
func (s *Standby) store(seat *Seat[*standing], through int64) error {
	err := seat.Of.place.Store(through)
	if !errors.Is(err, durable.ErrFenced) {
		return err
	}
	seat.Claim.Lose(durable.ErrFenced)
	s.seats.Remove(seat)
	seat.Of.holds = false
	return nil
}

// fetch hands out at most so many records: what was released first, then what is new.
func (s *Standby) fetch(seat *Seat[*standing], most int) (ds []durable.Delivery, err error) {
	x := seat.Of
	if err := x.place.Look(); err != nil {
		return nil, err
	}
	oldest, end := x.place.Bounds()
	if at := seat.Want(); at < oldest {
		err := fmt.Errorf("offset %d of topic %q was trimmed: %w", at, x.topic, durable.ErrPositionExpired)
		if err := s.settle(x.topic, err); err != nil {
			return nil, err
		}
		seat.Jump(oldest)
	}
	for len(ds) < most && seat.Want() < end {
		at := seat.Want()
		rec, next, err := x.place.Read(at)
		if err != nil {
			return ds, err
		}
		seat.Hand(at, next)
		ds = append(ds, durable.Delivery{
			Message: rec.Message, Topic: x.topic, Position: rec.Position, Claim: seat.Claim, Key: rec.Key, Attempt: 1,
			StoredAt: rec.StoredAt, DecodeErr: rec.DecodeErr,
		})
	}
	return ds, nil
}

// Ack implements durable.Consumer.
func (s *Standby) Ack(_ context.Context, ds ...durable.Delivery) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var seats []*Seat[*standing] // of ds
	s.late += s.seats.Ack(ds, Offset, func(seat *Seat[*standing], _ []int64) {
		if !slices.Contains(seats, seat) {
			seats = append(seats, seat)
		}
	})
	for _, seat := range seats {
		err = errors.Join(err, s.store(seat, seat.Through()))
		if seat.Claim.Lost() {
			s.late += of(seat, ds)
		}
	}
	return s.wrap("ack", err)
}

// of is how many of ds are of seat.
func of(seat *Seat[*standing], ds []durable.Delivery) (n int64) {
	for _, d := range ds {
		if d.Claim == seat.Claim {
			n++
		}
	}
	return n
}

// Late is how many acknowledgements came after their claims were lost, and were ignored.
func (s *Standby) Late() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

// Release implements durable.Consumer.
func (s *Standby) Release(ds ...durable.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seats.Release(ds, Offset, nil)
}

// SetTopics implements durable.Consumer: it is ErrUnsupported.
func (s *Standby) SetTopics(context.Context, ...durable.TopicStart) error {
	return s.wrap("set topics", durable.ErrUnsupported)
}

// Close implements durable.Consumer. Others may hold the member's places at once.
func (s *Standby) Close(context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	for _, seat := range s.seats.All() {
		seat.Claim.Lose(durable.ErrClosed)
		s.seats.Remove(seat)
	}
	for _, x := range s.topics {
		err = errors.Join(err, x.place.Close())
	}
	s.topics = nil
	s.gate.Forget(s)
	return s.wrap("close", err)
}

func (s *Standby) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s as %q: %w", s.backend, what, s.group.Name, err)
}
