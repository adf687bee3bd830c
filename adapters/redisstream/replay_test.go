package redisstream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func replayed(t *testing.T, b *Backend, topic string, r durable.Range) ([]string, error) {
	t.Helper()
	var ids []string
	for rec, err := range b.Replay(t.Context(), topic, r) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, rec.Message.UUID)
	}
	return ids, nil
}

func events(n int) []*message.Message {
	out := make([]*message.Message, n)
	for i := range out {
		out[i] = event(i)
	}
	return out
}

func TestReplaySelectsByPositionAndTime(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	for _, id := range []string{"1000-0", "2000-0", "3000-0", "4000-0"} {
		if err := b.control.XAdd(t.Context(), &redis.XAddArgs{Stream: topic, ID: id, Values: []any{fieldUUID, id}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	at := func(s int) durable.Start { return durable.At(time.Unix(int64(s), 0)) }
	for name, c := range map[string]struct {
		r    durable.Range
		want []string
	}{
		"all":     {durable.Range{}, []string{"1000-0", "2000-0", "3000-0", "4000-0"}},
		"newest":  {durable.Range{From: durable.Newest()}, nil},
		"times":   {durable.Range{From: at(2), ToTime: time.Unix(4, 0)}, []string{"2000-0", "3000-0"}},
		"cursors": {durable.Range{From: durable.After(durable.Cursor{0: "1000-0"}), To: durable.Cursor{0: "2000-0"}}, []string{"2000-0"}},
		"follow":  {durable.Range{From: at(3), To: durable.Cursor{0: "4000-0"}, Follow: true}, []string{"3000-0", "4000-0"}},
		"none":    {durable.Range{Partitions: []int{}}, nil},
	} {
		if got, err := replayed(t, b, topic, c.r); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
	if _, err := replayed(t, b, topic, durable.Range{Partitions: []int{1}}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("partition 1 of 1: got %v, want ErrInvalid", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAPositionThatIsNotStoredIsExpired(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	after := func(p durable.Position) error {
		_, err := replayed(t, b, topic, durable.Range{From: durable.After(durable.Cursor{0: p})})
		return err
	}
	if err := after("1-0"); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("no stream: got %v, want ErrPositionExpired", err)
	}
	ps, err := b.Append(t.Context(), topic, events(10)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := after("99999999999999-0"); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("beyond the last id: got %v, want ErrPositionExpired", err)
	}
	if err := b.control.XTrimMaxLen(t.Context(), topic, 5).Err(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(after(ps[5]), after(ps[9])); err != nil {
		t.Errorf("stored positions: got %v, want nil", err)
	}
	if err := after(ps[2]); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("trimmed: got %v, want ErrPositionExpired", err)
	}
	if err := after("x"); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("no position: got %v, want ErrInvalid", err)
	}
}

func TestTrimmingThatOvertakesAReplayIsNoSilentGap(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, events(2*replayPage)...); err != nil {
		t.Fatal(err)
	}
	n := 0
	var last error
	for _, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 1 {
			if err := b.control.XTrimMaxLen(t.Context(), topic, 10).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != replayPage || !errors.Is(last, durable.ErrPositionExpired) {
		t.Errorf("got %d records and %v, want one page and ErrPositionExpired", n, last)
	}
}

func TestCloseEndsAReplayThatFollows(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, event(1)); err != nil {
		t.Fatal(err)
	}
	seen, ended := make(chan struct{}), make(chan error)
	go func() {
		var last error
		for _, err := range b.Replay(context.WithoutCancel(t.Context()), topic, durable.Range{Follow: true}) {
			if last = err; err == nil {
				close(seen)
			}
		}
		ended <- last
	}()
	<-seen
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestAReplayStopsWithItsCaller(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, events(3)...); err != nil {
		t.Fatal(err)
	}
	for _, err := range b.Replay(t.Context(), topic, durable.Range{Follow: true}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := replayed(t, b, topic, durable.Range{}); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}
