package realtime

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
)

func next(t *testing.T, b *Inbox) Signal {
	t.Helper()
	s, err := b.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAGapThatIsDroppedIsStillTold(t *testing.T) {
	b := NewInbox(2)
	b.Gap(GapReconnect)
	for i := 1; i <= 4; i++ {
		b.Put(note("c", i))
	}
	if s := next(t, b); s.Gap != GapReconnect {
		t.Errorf("first: got %+v, want the reconnect", s)
	}
	if s := next(t, b); s.Gap != GapOverflow || s.Missed != 2 {
		t.Errorf("second: got %+v, want an overflow of 2", s)
	}
	for _, id := range []string{"3", "4"} {
		if s := next(t, b); s.Gap != GapNone || s.Notification.ID != id {
			t.Errorf("got %+v, want %s", s, id)
		}
	}
}

func TestAGapStandsWhereItHappened(t *testing.T) {
	b := NewInbox(0)
	b.Put(note("c", 1))
	b.Gap(GapSilence)
	b.Put(note("c", 2))
	if s := next(t, b); s.Notification.ID != "1" {
		t.Errorf("got %+v, want 1", s)
	}
	if s := next(t, b); s.Gap != GapSilence {
		t.Errorf("got %+v, want the silence", s)
	}
	if s := next(t, b); s.Notification.ID != "2" {
		t.Errorf("got %+v, want 2", s)
	}
}

func TestNextWaitsForItsContextAndForClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewInbox(1)
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { _, err := b.Next(ctx); result <- err }()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
		go func() { _, err := b.Next(context.Background()); result <- err }()
		synctest.Wait()
		b.Close()
		b.Close()
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		b.Put(note("c", 1))
		b.Gap(GapReconnect)
		if _, err := b.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("after close: got %v, want ErrClosed", err)
		}
	})
}

func TestAnInboxLosesNothingUncounted(t *testing.T) {
	const writers, each = 4, 2000
	b := NewInbox(64)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b.Put(note(strconv.Itoa(w), i))
			}
		})
	}
	last, seen := map[string]int{}, 0
	for seen < writers*each {
		s := next(t, b)
		if s.Gap != GapNone {
			seen += s.Missed
			continue
		}
		seen++
		id, err := strconv.Atoi(s.Notification.ID)
		if before, ok := last[s.Notification.Channel]; err != nil || ok && id <= before {
			t.Fatalf("channel %s: %d after %d, %v", s.Notification.Channel, id, before, err)
		}
		last[s.Notification.Channel] = id
	}
	wg.Wait()
	if seen != writers*each {
		t.Errorf("got %d, want %d", seen, writers*each)
	}
}
