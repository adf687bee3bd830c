package adapterkit_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// span is a Log of records 3 to 9.
type span struct{}

func (span) Bounds() (oldest, end int64) { return 3, 10 }
func (span) Behind(p durable.Position) (int64, error) {
	at, err := adapterkit.OffsetOf(p, 1, "now")
	return at + 1, err
}

// timed is a span whose record n was stored in second n.
type timed struct{ span }

func (timed) Since(t time.Time) int64 { return max(3, t.Unix()) }

func at(partition int, offset int64, incarnation string) durable.Position {
	return durable.Position(adapterkit.AppendPosition(nil, partition, offset, incarnation))
}

func TestResolveFindsEveryStart(t *testing.T) {
	after := func(p durable.Position) durable.Start { return durable.After(durable.Cursor{1: p}) }
	for name, c := range map[string]struct {
		start durable.Start
		log   adapterkit.Log
		want  int64
		err   error
	}{
		"default":              {durable.Start{}, span{}, 3, nil},
		"oldest":               {durable.Oldest(), span{}, 3, nil},
		"newest":               {durable.Newest(), span{}, 10, nil},
		"after":                {after(at(1, 4, "now")), span{}, 5, nil},
		"after the last":       {after(at(1, 9, "now")), span{}, 10, nil},
		"the oldest is next":   {after(at(1, 2, "now")), span{}, 3, nil},
		"trimmed":              {after(at(1, 1, "now")), span{}, 3, durable.ErrPositionExpired},
		"not stored yet":       {after(at(1, 10, "now")), span{}, 3, durable.ErrPositionExpired},
		"another incarnation":  {after(at(1, 4, "then")), span{}, 3, durable.ErrPositionExpired},
		"another partition's":  {after(at(0, 4, "now")), span{}, 3, durable.ErrInvalid},
		"of another partition": {durable.After(durable.Cursor{0: at(0, 4, "now")}), span{}, 3, nil},
		"time":                 {durable.At(time.Unix(5, 0)), timed{}, 5, nil},
		"time without a clock": {durable.At(time.Unix(5, 0)), span{}, 3, durable.ErrUnsupported},
	} {
		if got, err := adapterkit.Resolve(c.start, 1, c.log); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %d, %v, want %d, %v", name, got, err, c.want, c.err)
		}
	}
}

func TestRangesNamePartitionsThatExist(t *testing.T) {
	for name, r := range map[string]durable.Range{
		"from":       {From: durable.After(durable.Cursor{2: "x"})},
		"to":         {To: durable.Cursor{-1: "x"}},
		"partitions": {Partitions: []int{0, 2}},
	} {
		if _, err := adapterkit.CheckRange(r, 2); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	for want, r := range map[string]durable.Range{"[0 1]": {}, "[1]": {Partitions: []int{1}}, "[]": {Partitions: []int{}}} {
		if got, err := adapterkit.CheckRange(r, 2); fmt.Sprint(got) != want || err != nil {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
}

func TestOnlyAnExpiredPositionMayBeJumpedOver(t *testing.T) {
	jumps := 0
	jumped := func(error) { jumps++ }
	expired := fmt.Errorf("gone: %w", durable.ErrPositionExpired)
	if err := adapterkit.OnExpired(durable.ExpiredOldest, expired, jumped); err != nil || jumps != 1 {
		t.Errorf("got %v and %d jumps, want one", err, jumps)
	}
	for policy, err := range map[durable.ExpiredPolicy]error{durable.ExpiredFail: expired, durable.ExpiredOldest: durable.ErrClosed} {
		if got := adapterkit.OnExpired(policy, err, jumped); !errors.Is(got, err) || jumps != 1 {
			t.Errorf("got %v and %d jumps, want %v", got, jumps, err)
		}
	}
}

func TestPositionsOfOthersAreNone(t *testing.T) {
	for _, p := range []durable.Position{"", "1", "1:2", "1@2", "-1:2@x", "1:-2@x", "a:2@x"} {
		if _, _, _, ok := adapterkit.ParsePosition(p); ok {
			t.Errorf("%q is taken for a position", p)
		}
	}
}

func TestAMessageComesBackFromJSONByteByByte(t *testing.T) {
	msg := message.NewMessage("id é", []byte("pay\x00load\xff"))
	msg.Metadata[durable.MetaPartitionKey] = "k"
	stored := time.Unix(1, 2).UTC()
	text, err := adapterkit.MarshalMessage(msg, stored)
	if err != nil {
		t.Fatal(err)
	}
	r := adapterkit.UnmarshalRecord(text)
	if !r.Message.Equals(msg) || r.Key != "k" || !r.StoredAt.Equal(stored) || r.DecodeErr != nil {
		t.Errorf("got %+v", r)
	}
	msg.Metadata["a"] = "\xc3" // half of a letter
	if _, err := adapterkit.MarshalMessage(msg, stored); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if r := adapterkit.UnmarshalRecord([]byte("no JSON")); r.DecodeErr == nil || string(r.Message.Payload) != "no JSON" {
		t.Errorf("got %+v, want a DecodeErr and the bytes", r)
	}
	bare, err := adapterkit.MarshalMessage(&message.Message{UUID: "1"}, stored)
	if r := adapterkit.UnmarshalRecord(bare); err != nil || r.Message.Metadata == nil {
		t.Error("metadata that a handler cannot set")
	}
}

// Where does a group begin that has no position yet?
func ExampleResolve() {
	for _, start := range []durable.Start{durable.Oldest(), durable.Newest(), durable.At(time.Unix(5, 0))} {
		fmt.Println(adapterkit.Resolve(start, 1, timed{}))
	}
	trimmed := durable.After(durable.Cursor{1: at(1, 0, "now")})
	offset, err := adapterkit.Resolve(trimmed, 1, timed{})
	fmt.Println(offset, errors.Is(err, durable.ErrPositionExpired))
	err = adapterkit.OnExpired(durable.ExpiredOldest, err, func(error) { fmt.Println("going on at the oldest") })
	fmt.Println(err)
	// Output:
	// 3 <nil>
	// 10 <nil>
	// 5 <nil>
	// 3 true
	// going on at the oldest
	// <nil>
}

// What does a position of an offset look like, and how is it read again?
func ExampleOffsetOf() {
	p := durable.Position(adapterkit.AppendPosition(nil, 1, 42, "now"))
	fmt.Println(p)
	fmt.Println(adapterkit.OffsetOf(p, 1, "now"))
	_, err := adapterkit.OffsetOf(p, 1, "made again")
	fmt.Println(errors.Is(err, durable.ErrPositionExpired))
	// Output:
	// 1:42@now
	// 42 <nil>
	// true
}
