package filelog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dualstream/dualstream/durable"
)

// consumer is a member of a group. Who holds the lock of the group's file works; the others stand by.
type consumer struct {
	backend *Backend
	life    context.Context // of its claims
	end     context.CancelFunc

	mu    sync.Mutex // guards what follows; held while local files are read and written
	seats []*seat    // one per topic
	turn  int        // the seat at which the next Fetch begins
}

// seat is the group's place in a topic.
type seat struct {
	member   *consumer
	group    durable.Group
	topic    string
	log      *log
	file     *os.File       // a line with the position through which the group has acknowledged, and the epoch
	claim    *durable.Claim // nil: stands by
	epoch    int64
	next     int64    // offset of the first record that was not fetched
	handed   []record // fetched and not finished, in fetch order
	released []record // to be fetched again, in stored order
}

// Consume implements durable.Backend.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	b.calls.RLock()
	defer b.calls.RUnlock()
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("filelog: consume: %w", err)
	}
	c := &consumer{backend: b}
	c.life, c.end = context.WithCancel(b.life)
	for _, t := range g.Topics {
		if err := c.sit(ctx, g, t); err != nil {
			return nil, errors.Join(fmt.Errorf("filelog: consume %q as %q: %w", t.Topic, g.Name, err), c.Close(ctx))
		}
	}
	b.consumers.Store(c, nil)
	return c, nil
}

// sit adds a seat. The first member of a group stores where it starts.
func (c *consumer) sit(ctx context.Context, g durable.Group, t durable.TopicStart) error {
	l, err := c.backend.open(ctx, t.Topic)
	if err != nil {
		return err
	}
	s := &seat{member: c, group: g, topic: t.Topic, log: l}
	path := filepath.Join(filepath.Dir(l.file.Name()), "group-"+g.Name)
	if s.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640); err != nil {
		return errors.Join(err, l.file.Close())
	}
	c.seats = append(c.seats, s)
	if info, err := s.file.Stat(); err != nil || info.Size() > 0 {
		return errors.Join(err, unlock(l.file))
	}
	if s.next, err = s.settle(l.resolve(t.Start.Or(g.Start))); err != nil {
		return err
	}
	return errors.Join(s.store(), s.file.Sync(), syncDir(path, 1), unlock(l.file))
}

// settle applies the group's policy to a position that is not stored.
func (s *seat) settle(at int64, err error) (int64, error) {
	if s.group.OnExpired == durable.ExpiredFail || !errors.Is(err, durable.ErrPositionExpired) {
		return at, err
	}
	slog.Warn("filelog: going on at the oldest record", "group", s.group.Name, "topic", s.topic, "err", err)
	return at, nil
}

// store writes through where the group has acknowledged.
func (s *seat) store() error {
	through := s.next
	for _, rec := range slices.Concat(s.handed, s.released) {
		through = min(through, rec.from)
	}
	_, err := s.file.WriteAt(fmt.Appendf(nil, "%s %016x\n", s.log.position(through), s.epoch), 0)
	return err
}

// own makes the member the one that works, where nobody else is, and goes on where the group is.
func (s *seat) own() error {
	if locked, err := tryLock(s.file); err != nil || !locked {
		return err
	}
	var p durable.Position
	if _, err := s.file.Seek(0, 0); err != nil {
		return err
	}
	_, err := fmt.Fscanf(s.file, "%s %x\n", &p, &s.epoch)
	if err := errors.Join(err, s.log.look()); err != nil {
		return err
	}
	if s.next, err = s.settle(s.log.offset(p)); err != nil {
		return err
	}
	s.epoch++
	s.claim = durable.NewClaim(s.member.life, s.topic, 0, s.epoch)
	return s.store()
}

// fetch appends deliveries to ds until there are most: what was released first, then what is new.
func (s *seat) fetch(ds []durable.Delivery, most int) ([]durable.Delivery, error) {
	if s.claim == nil {
		if err := s.own(); err != nil || s.claim == nil {
			return ds, err
		}
	}
	for ; len(s.released) > 0 && len(ds) < most; s.released = s.released[1:] {
		ds = append(ds, s.hand(s.released[0]))
	}
	if err := s.log.look(); err != nil {
		return ds, err
	}
	for rec, err := range s.log.records(s.next, s.log.end) {
		if err != nil || len(ds) == most {
			return ds, err
		}
		ds = append(ds, s.hand(rec))
		s.next = rec.to
	}
	return ds, nil
}

func (s *seat) hand(rec record) durable.Delivery {
	s.handed = append(s.handed, rec)
	msg, at, err := rec.message()
	return durable.Delivery{
		Message: msg, Topic: s.topic, Position: s.log.position(rec.to), Claim: s.claim, Key: durable.Key(msg),
		Attempt: 1, StoredAt: at, DecodeErr: err,
	}
}

// Fetch implements durable.Consumer.
func (c *consumer) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	for {
		ds, err := c.take(max(most, 1))
		if len(ds) > 0 {
			return ds, nil // an error comes again
		}
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = c.backend.pause(ctx, c.life)
		}
		if err != nil {
			return nil, fmt.Errorf("filelog: fetch: %w", err)
		}
	}
}

func (c *consumer) take(most int) (ds []durable.Delivery, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return nil, durable.ErrClosed
	}
	c.turn++
	for i := range c.seats {
		ds, err = c.seats[(c.turn+i)%len(c.seats)].fetch(ds, most)
		if err != nil || len(ds) == most {
			break
		}
	}
	return ds, err
}

// Ack implements durable.Consumer.
func (c *consumer) Ack(_ context.Context, ds ...durable.Delivery) error {
	return c.finish(ds, func(s *seat, i int) { s.handed = s.handed[i+1:] })
}

// Release implements durable.Consumer.
func (c *consumer) Release(ds ...durable.Delivery) {
	_ = c.finish(ds, func(s *seat, i int) {
		at, _ := slices.BinarySearchFunc(s.released, s.handed[i].from, func(r record, from int64) int { return int(r.from - from) })
		s.released = slices.Insert(s.released, at, s.handed[i])
		s.handed = slices.Delete(s.handed, i, i+1)
	})
}

// finish has f take those of ds that are handed out away. Others belong to a claim that was lost.
func (c *consumer) finish(ds []durable.Delivery, f func(s *seat, i int)) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return nil
	}
	for _, s := range c.seats {
		for _, d := range ds {
			to, _ := s.log.offset(d.Position)
			i := slices.IndexFunc(s.handed, func(r record) bool { return s.claim == d.Claim && r.to == to })
			if i >= 0 {
				f(s, i)
			}
		}
		if s.claim != nil {
			err = errors.Join(err, s.store())
		}
	}
	return err
}

// SetTopics implements durable.Consumer.
func (c *consumer) SetTopics(context.Context, ...durable.TopicStart) error {
	return fmt.Errorf("filelog: set topics: %w", durable.ErrUnsupported)
}

// Close implements durable.Consumer.
func (c *consumer) Close(context.Context) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	for _, s := range c.seats {
		err = errors.Join(err, s.file.Sync(), s.file.Close(), s.log.file.Close())
		if s.claim != nil {
			s.claim.Lose(durable.ErrClosed)
		}
	}
	c.seats = nil
	c.backend.consumers.Delete(c)
	return err
}
