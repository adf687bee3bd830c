package realtime_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dualstream/dualstream/realtime"
)

// How does an adapter hand out what its broker sends?
func ExampleTable() {
	ctx := context.Background()
	table := realtime.NewTable(realtime.Capabilities{Backend: "mine", Patterns: true}, 0)
	s, err := table.Subscribe(ctx, realtime.Pattern("events:order:*"))
	if err != nil {
		fmt.Println(err)
		return
	}
	table.Put(realtime.Notification{Channel: "events:order:42", ID: "1"}, realtime.Notification{Channel: "events:user:7", ID: "2"})
	table.Gap(realtime.GapReconnect)
	for range 2 {
		signal, err := s.Next(ctx)
		fmt.Println(signal.Notification.ID, signal.Gap, err)
	}
	fmt.Println(table.Close(ctx))
	// Output:
	// 1 none <nil>
	//  reconnect <nil>
	// <nil>
}

func TestAClosedTableRefusesAndIsSilent(t *testing.T) {
	table := realtime.NewTable(realtime.Capabilities{Backend: "mine"}, 1)
	ns := []realtime.Notification{{Channel: realtime.Channel("a", "1"), ID: "1"}}
	if err := table.Check(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := table.Check(t.Context(), []realtime.Notification{{}}); !errors.Is(err, realtime.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if _, err := table.Subscribe(t.Context(), realtime.Pattern("*")); !errors.Is(err, realtime.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	s, err := table.Subscribe(t.Context(), ns[0].Channel)
	if err != nil {
		t.Fatal(err)
	}
	table.Put(ns[0], ns[0]) // one too many
	if signal, err := s.Next(t.Context()); err != nil || signal.Gap != realtime.GapOverflow || signal.Missed != 1 {
		t.Errorf("got %+v, %v, want an overflow", signal, err)
	}
	for range 2 {
		if err := table.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	table.Put(ns...)
	table.Gap(realtime.GapReconnect)
	_, next := s.Next(t.Context())
	_, again := table.Subscribe(t.Context(), ns[0].Channel)
	for what, err := range map[string]error{
		"Next": next, "Subscribe": again, "Check": table.Check(t.Context(), ns), "Health": table.Health(t.Context()),
		"Add": s.Add(t.Context(), ns[0].Channel),
	} {
		if !errors.Is(err, realtime.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
}
