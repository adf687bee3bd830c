package realtime_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dualstream/dualstream/realtime"
)

// JSON has no years beyond these four digits, in UTC.
func TestTheTimeIsOfAYearWithFourDigits(t *testing.T) {
	east := time.FixedZone("east", 3600)
	first, after := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at time.Time
		ok bool
	}{
		{time.Time{}, true},
		{first, true},
		{first.Add(-1), false},
		{first.In(east), true},
		{first.Add(-time.Minute).In(east), false},
		{after.Add(-1), true},
		{after, false},
		{after.Add(-time.Minute).In(east), true},
	} {
		n := realtime.Notification{Channel: "events:order:1", ID: "1", Time: c.at}
		err := n.Validate()
		var bad *realtime.InvalidError
		if c.ok && err != nil || !c.ok && (!errors.As(err, &bad) || bad.Field != "Time") {
			t.Errorf("%v: got %v, want accepted: %v", c.at, err, c.ok)
		}
	}
}
