package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

func TestAReaderGoesOnBehindWhatItReadWhenItsBrokerFails(t *testing.T) {
	starts := map[string]durable.Start{
		"oldest": durable.Oldest(), "newest": durable.Newest(), "at": durable.At(time.Now()), "after nothing": durable.After(nil),
	}
	for name, start := range starts {
		for _, partitions := range []int{1, 8} {
			t.Run(fmt.Sprint(name, " of ", partitions), func(t *testing.T) {
				b, log := newBroken(t, partitions), new(strings.Builder)
				r := newReader(t, b, durable.ReaderOptions{
					Topics: durable.Topics("a"), Start: start, Logger: slog.New(slog.NewTextHandler(log, nil)),
				})
				s := subscribe(t, r, durable.SubscribeOptions{})
				put(t, b, "a", "x1", "x2")
				wants(t, s, "x1", "x2")
				down := errors.New("down")
				b.breaks(down, down)
				put(t, b, "a", "x3", "x4", "x5", "x6", "x7")
				for len(b.followed()) < 4 { // attempts
					b.breaks(down, down)
				}
				b.breaks(down, nil)
				wants(t, s, "x3", "x4", "x5", "x6", "x7")
				put(t, b, "a", "x8")
				wants(t, s, "x8")
				if err := r.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				most := 1
				if name == "at" && partitions > 1 {
					most = 2 // one of its two replays may read something before the other fails for the last time
				}
				if n := strings.Count(log.String(), "lost its topic"); n < 1 || n > most {
					t.Errorf("got %d warnings, want one:\n%s", n, log)
				}
			})
		}
	}
}

func TestAReaderThatCannotGoOnWithoutAGapSaysSo(t *testing.T) {
	b := newBroken(t, 8)
	r := newReader(t, plain{b}, durable.ReaderOptions{Topics: durable.Topics("a"), Start: durable.Newest()})
	s := subscribe(t, r, durable.SubscribeOptions{})
	put(t, b, "a", "x1")
	wants(t, s, "x1")
	down := errors.New("down")
	b.breaks(down, nil)
	_, err := s.Next(shortly(t))
	var end *durable.TopicError
	if !errors.As(err, &end) || end.Topic != "a" || !errors.Is(err, down) {
		t.Fatalf("got %v, want the end of the topic", err)
	}
}

func TestWhatIsStoredWhileAReaderIsMadeAtNewestIsRead(t *testing.T) {
	for _, admin := range []bool{true, false} {
		b := newBroken(t, 4)
		put(t, b, "a", "old1", "old2")
		var backend durable.Backend = b
		if !admin {
			backend = plain{b}
		}
		r := newReader(t, backend, durable.ReaderOptions{Topics: durable.Topics("a"), Start: durable.Newest()})
		put(t, b, "a", "new1", "new2", "new3")
		wants(t, subscribe(t, r, durable.SubscribeOptions{}), "new1", "new2", "new3")
	}
}

func TestAReaderStandsStillWithoutSubscriptions(t *testing.T) {
	b := newBroken(t, 1)
	put(t, b, "a", "x1", "x2", "x3")
	r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a")})
	first := subscribe(t, r, durable.SubscribeOptions{Buffer: 1})
	wants(t, first, "x1")
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Next(t.Context()); !errors.Is(err, durable.ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	put(t, b, "a", "x4", "x5", "x6", "x7")
	second := subscribe(t, r, durable.SubscribeOptions{})
	for {
		rec, err := second.Next(shortly(t))
		if err != nil {
			t.Fatal(err)
		}
		if rec.Message.UUID == "x4" { // at the latest: two were in the hands of the first one
			break
		}
	}
	wants(t, second, "x5", "x6", "x7")
}

func TestSubscriptionsOfAReaderShareNothing(t *testing.T) {
	b := newBroken(t, 1)
	r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a")})
	subs := []*durable.Subscription{}
	for range 3 {
		subs = append(subs, subscribe(t, r, durable.SubscribeOptions{}))
	}
	put(t, b, "a", "x1")
	for _, s := range subs {
		rec, err := s.Next(shortly(t))
		if err != nil || string(rec.Message.Payload) != "x1" || rec.Message.Metadata["mine"] != "" {
			t.Fatalf("got %+v, %v", rec.Message, err)
		}
		rec.Message.Payload[0] = '?'
		rec.Message.Metadata["mine"] = "yes"
	}
}

func TestASlowSubscriptionHoldsTheReaderBackOrIsTold(t *testing.T) {
	b := newBroken(t, 1)
	r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a")})
	dropping := subscribe(t, r, durable.SubscribeOptions{Buffer: 2, WhenFull: durable.FullDrop})
	fast := subscribe(t, r, durable.SubscribeOptions{})
	put(t, b, "a", "x1", "x2", "x3", "x4", "x5")
	wants(t, fast, "x1", "x2", "x3", "x4", "x5")
	var missed *durable.MissedError
	if _, err := dropping.Next(shortly(t)); !errors.As(err, &missed) || missed.Missed != 3 {
		t.Fatalf("got %v, want 3 missed", err)
	}
	wants(t, dropping, "x4", "x5")
	waiting := subscribe(t, r, durable.SubscribeOptions{Buffer: 100, BufferBytes: 1}) // one record fits
	put(t, b, "a", "y1", "y2", "y3", "y4")
	wants(t, waiting, "y1")
	wants(t, waiting, "y2")
	wants(t, waiting, "y3")
	wants(t, waiting, "y4")
	wants(t, fast, "y1", "y2", "y3", "y4")
}

func TestAFullSubscriptionDelaysNeitherRemovalNorClose(t *testing.T) {
	b := newBroken(t, 1)
	put(t, b, "a", "x1", "x2", "x3")
	put(t, b, "b", "y1", "y2", "y3")
	r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a", "b")})
	s := subscribe(t, r, durable.SubscribeOptions{Buffer: 1})
	if err := r.RemoveTopics(shortly(t), "a", "never"); err != nil {
		t.Fatal(err)
	}
	if got := r.Topics(); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("got %v, want b alone", got)
	}
	for range 2 {
		if err := r.Close(shortly(t)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Next(t.Context())
	_, again := r.Subscribe(durable.SubscribeOptions{})
	for _, err := range []error{err, again, r.AddTopics(t.Context(), durable.TopicStart{Topic: "c"})} {
		if !errors.Is(err, durable.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

func TestAPanicOfSelectEndsItsSubscriptionAlone(t *testing.T) {
	b := newBroken(t, 1)
	r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a")})
	bad := subscribe(t, r, durable.SubscribeOptions{Select: func(*message.Message) bool { panic("no") }})
	good := subscribe(t, r, durable.SubscribeOptions{Select: func(m *message.Message) bool { return m.UUID != "x1" }})
	put(t, b, "a", "x1", "x2")
	wants(t, good, "x2")
	var panicked *durable.PanicError
	for range 2 {
		if _, err := bad.Next(shortly(t)); !errors.As(err, &panicked) {
			t.Fatalf("got %v, want the panic", err)
		}
	}
}

func TestAReaderRefusesWhatItCannotDo(t *testing.T) {
	b := newBroken(t, 1)
	ps := put(t, b, "a", "x1")
	after := durable.After(durable.Cursor{0: ps[0]})
	if _, err := durable.NewReader(t.Context(), b, durable.ReaderOptions{Topics: durable.Topics("a", "b"), Start: after}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("a cursor for two topics: got %v, want ErrInvalid", err)
	}
	r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a"), Start: after})
	for what, ts := range map[string]durable.TopicStart{
		"read already": {Topic: "a", Start: durable.Oldest()}, "no topic": {Topic: "?", Start: durable.Oldest()}, "whose cursor": {Topic: "b"},
	} {
		if err := r.AddTopics(t.Context(), ts); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
	if err := r.AddTopics(t.Context(), durable.TopicStart{Topic: "b", Start: durable.Oldest()}); err != nil {
		t.Error(err)
	}
	if _, err := r.Subscribe(durable.SubscribeOptions{Buffer: -1}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestAnExpiredPositionOfAReaderEndsItsTopicOrIsTheOldest(t *testing.T) {
	for _, policy := range []durable.ExpiredPolicy{durable.ExpiredFail, durable.ExpiredOldest} {
		b := newBroken(t, 1)
		put(t, b, "b", "y1")
		r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a", "b"), OnExpired: policy})
		s := subscribe(t, r, durable.SubscribeOptions{})
		put(t, b, "a", "x1", "x2")
		wants(t, s, "x1", "x2", "y1")
		down := errors.New("down")
		b.breaks(down, down)
		put(t, b, "a", "x3", "x4", "x5")
		if _, err := b.Trim(t.Context(), "a", durable.Trim{MaxLen: 1, AllowUnread: true}); err != nil {
			t.Fatal(err)
		}
		b.breaks(down, nil)
		if policy == durable.ExpiredOldest {
			wants(t, s, "x5")
			if r.Jumps() == 0 {
				t.Error("the jump was not counted")
			}
			continue
		}
		_, err := s.Next(shortly(t))
		var end *durable.TopicError
		if !errors.As(err, &end) || !errors.Is(err, durable.ErrPositionExpired) {
			t.Fatalf("got %v, want ErrPositionExpired", err)
		}
		put(t, b, "b", "y2")
		wants(t, s, "y2")
		if got := r.Topics(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("got %v, want the other topic alone", got)
		}
	}
}

func TestTopicsAndSubscriptionsChangeInAnyOrder(t *testing.T) {
	b := newBroken(t, 2)
	r := newReader(t, b, durable.ReaderOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var writers, readers sync.WaitGroup
	for i := range 4 {
		topic := fmt.Sprint("t", i)
		writers.Go(func() {
			for n := range 50 {
				put(t, b, topic, fmt.Sprint(n))
				if err := r.AddTopics(ctx, durable.TopicStart{Topic: topic}); err != nil {
					t.Error(err)
				}
				if err := r.RemoveTopics(ctx, topic); err != nil {
					t.Error(err)
				}
			}
		})
		readers.Go(func() {
			for ctx.Err() == nil {
				s := subscribe(t, r, durable.SubscribeOptions{Buffer: 1 + i, WhenFull: durable.FullPolicy(i % 2)})
				_, err := s.Next(ctx)
				var missed *durable.MissedError
				if err != nil && ctx.Err() == nil && !errors.As(err, &missed) {
					t.Error(err)
				}
				_ = s.Close()
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
}
