package adapterkit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// shelf is a store of one topic and one group, as small as can be.
type shelf struct {
	mu      sync.Mutex
	oldest  int64 // what is before it was trimmed
	records []string
	holder  *spot
	through int64 // -1: the group has no place
	epoch   int64
}

// spot implements adapterkit.Place and adapterkit.ReadCloser.
type spot struct {
	*shelf
	end int64
}

func (s *spot) Look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = int64(len(s.records))
	return nil
}

func (s *spot) Bounds() (oldest, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oldest, s.end
}

func (s *spot) Behind(p durable.Position) (int64, error) {
	at, err := adapterkit.OffsetOf(p, 0, "shelf")
	return at + 1, err
}

func (s *spot) Read(offset int64) (durable.Record, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	msg := message.NewMessage(s.records[offset], nil)
	return durable.Record{Message: msg, Position: at(0, offset, "shelf")}, offset + 1, nil
}

func (s *spot) Enter(start func() (int64, error)) (err error) {
	if s.through < 0 {
		s.through, err = start()
	}
	return err
}

func (s *spot) Hold() (at, epoch int64, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder != nil && s.holder != s {
		return 0, 0, false, nil
	}
	s.holder = s
	s.epoch++
	if s.through < s.oldest {
		return s.oldest, s.epoch, true, durable.ErrPositionExpired
	}
	return s.through, s.epoch, true, nil
}

func (s *spot) Store(through int64) error {
	s.through = through
	return nil
}

func (s *spot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == s {
		s.holder = nil
	}
	return nil
}

// join makes a member of the group.
func (s *shelf) join(ctx context.Context, gate *adapterkit.Gate, policy durable.ExpiredPolicy) (*adapterkit.Standby, error) {
	g := durable.Group{Name: "g", Topics: durable.Topics("t"), OnExpired: policy}
	return adapterkit.NewStandby(ctx, "shelf", gate, g, time.Millisecond, func(string) (adapterkit.Place, error) {
		return &spot{shelf: s}, nil
	})
}

// How is a store that has a lock and tells no news consumed?
func ExampleStandby() {
	ctx, gate := context.Background(), adapterkit.NewGate()
	store := &shelf{records: []string{"a", "b", "c"}, through: -1}
	first, err := store.join(ctx, gate, durable.ExpiredFail)
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := store.join(ctx, gate, durable.ExpiredFail)
	if err != nil {
		fmt.Println(err)
		return
	}
	ds, err := first.Fetch(ctx, 10)
	fmt.Println(len(ds), err, first.Ack(ctx, ds[0]), first.Close(ctx))
	ds, err = second.Fetch(ctx, 10) // stands in
	fmt.Println(len(ds), ds[0].Message.UUID, err)
	fmt.Println(gate.Close(ctx)) // closes the second
	// Output:
	// 3 <nil> <nil> <nil>
	// 2 b <nil>
	// <nil>
}

func TestAStandbyReleasesAndAcknowledgesWhatItHandedOut(t *testing.T) {
	store, gate := &shelf{records: []string{"a", "b", "c"}, through: -1}, adapterkit.NewGate()
	c, err := store.join(t.Context(), gate, durable.ExpiredFail)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := c.Fetch(t.Context(), 2)
	if err != nil || len(ds) != 2 {
		t.Fatalf("got %d, %v", len(ds), err)
	}
	c.Release(ds[0])
	if err := c.Ack(t.Context(), ds[1]); err != nil || store.through != 0 {
		t.Errorf("got %d, %v, want the place before what was released", store.through, err)
	}
	again, err := c.Fetch(t.Context(), 10)
	if err != nil || len(again) != 2 || again[0].Message.UUID != "a" || again[1].Message.UUID != "c" {
		t.Fatalf("got %v, %v, want a and c", again, err)
	}
	if err := c.Ack(t.Context(), again[1]); err != nil || store.through != 3 {
		t.Errorf("got %d, %v, want all of it", store.through, err)
	}
	if err := c.SetTopics(t.Context()); !errors.Is(err, durable.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if err := gate.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Fetch(t.Context(), 1); !errors.Is(err, durable.ErrClosed) || !ds[0].Claim.Lost() {
		t.Errorf("got %v, want ErrClosed and the claim lost", err)
	}
	if err := c.Ack(t.Context(), ds...); err != nil || store.through != 3 {
		t.Errorf("a late one: got %d, %v", store.through, err)
	}
	if _, err := store.join(t.Context(), gate, durable.ExpiredFail); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestAGroupWhosePlaceIsGoneKeepsItUntilItMayJump(t *testing.T) {
	store, gate := &shelf{records: []string{"a", "b", "c"}, oldest: 2}, adapterkit.NewGate()
	defer func() { _ = gate.Close(context.Background()) }()
	c, err := store.join(t.Context(), gate, durable.ExpiredFail)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Fetch(t.Context(), 1); !errors.Is(err, durable.ErrPositionExpired) || store.through != 0 {
			t.Errorf("got %v at %d, want ErrPositionExpired and the place as it was", err, store.through)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err = store.join(t.Context(), gate, durable.ExpiredOldest); err != nil {
		t.Fatal(err)
	}
	if ds, err := c.Fetch(t.Context(), 9); err != nil || len(ds) != 1 || ds[0].Message.UUID != "c" {
		t.Errorf("got %v, %v, want what is left", ds, err)
	}
}

func TestReplayOfAStoreFollowsAndEnds(t *testing.T) {
	store, gate := &shelf{records: []string{"a", "b", "c"}}, adapterkit.NewGate()
	read := func(r durable.Range, enough int) (ids []string, err error) {
		open := func() (adapterkit.ReadCloser, error) {
			s := &spot{shelf: store}
			return s, s.Look()
		}
		for rec, err := range adapterkit.Replay(t.Context(), "shelf", gate, "t", r, time.Millisecond, open) {
			if err != nil {
				return ids, err
			}
			if ids = append(ids, rec.Message.UUID); len(ids) == enough {
				return ids, nil
			}
			if r.Follow && len(ids) == 3 {
				store.mu.Lock()
				store.records = append(store.records, "d")
				store.mu.Unlock()
			}
		}
		return ids, nil
	}
	for name, c := range map[string]struct {
		r      durable.Range
		enough int
		want   []string
		err    error
	}{
		"all":      {durable.Range{}, 0, []string{"a", "b", "c"}, nil},
		"some":     {durable.Range{}, 2, []string{"a", "b"}, nil},
		"to":       {durable.Range{From: durable.After(durable.Cursor{0: at(0, 0, "shelf")}), To: durable.Cursor{0: at(0, 1, "shelf")}}, 0, []string{"b"}, nil},
		"none":     {durable.Range{Partitions: []int{}}, 0, nil, nil},
		"end time": {durable.Range{ToTime: time.Now()}, 0, nil, durable.ErrUnsupported},
		"foreign":  {durable.Range{From: durable.After(durable.Cursor{0: at(0, 0, "book")})}, 0, nil, durable.ErrPositionExpired},
	} {
		if got, err := read(c.r, c.enough); !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, got, err, c.want, c.err)
		}
	}
	if got, err := read(durable.Range{Follow: true}, 4); err != nil || !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("followed: got %q, %v", got, err)
	}
	if err := gate.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := read(durable.Range{}, 0); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestWhatIsTrimmedBeforeItIsFetchedIsNoSilentGap(t *testing.T) {
	for policy, want := range map[durable.ExpiredPolicy]error{
		durable.ExpiredFail: durable.ErrPositionExpired, durable.ExpiredOldest: nil,
	} {
		store, gate := &shelf{records: []string{"a", "b", "c", "d"}, through: -1}, adapterkit.NewGate()
		c, err := store.join(t.Context(), gate, policy)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Fetch(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		store.mu.Lock()
		store.oldest = 3
		store.mu.Unlock()
		ds, err := c.Fetch(t.Context(), 9)
		if !errors.Is(err, want) || err == nil && (len(ds) != 1 || ds[0].Message.UUID != "d") {
			t.Errorf("%v: got %v, %v, want d or %v", policy, ds, err, want)
		}
		if err := gate.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAReplayThatIsOvertakenByTrimmingTellsIt(t *testing.T) {
	store := &shelf{records: []string{"a", "b", "c", "d"}}
	open := func() (adapterkit.ReadCloser, error) {
		s := &spot{shelf: store}
		return s, s.Look()
	}
	var ids []string
	var failed error
	for rec, err := range adapterkit.Replay(t.Context(), "shelf", adapterkit.NewGate(), "t", durable.Range{Follow: true}, time.Millisecond, open) {
		if failed = err; err != nil {
			break
		}
		if ids = append(ids, rec.Message.UUID); len(ids) == 4 {
			store.mu.Lock()
			store.records, store.oldest = append(store.records, "e", "f"), 5
			store.mu.Unlock()
		}
	}
	if !errors.Is(failed, durable.ErrPositionExpired) || len(ids) != 4 {
		t.Errorf("got %q, %v, want four and ErrPositionExpired", ids, failed)
	}
}
