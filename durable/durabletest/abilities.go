package durabletest

import (
	"context"
	"testing"

	"github.com/dualstream/dualstream/durable"
)

// abilities is what a backend claims: by its Capabilities, and by the optional interfaces that it implements.
type abilities struct {
	durable.Capabilities
	reports       bool // durable.LagReporter
	administers   bool // durable.Administrator
	managesGroups bool // durable.GroupAdministrator
	trims         bool // durable.Trimmer
	removes       bool // durable.Remover
	health        bool // durable.HealthChecker
}

// abilitiesOf asks a handle that is closed at once.
func abilitiesOf(t testing.TB, h Harness) abilities {
	t.Helper()
	b := h.New(t)
	a := abilities{Capabilities: b.Capabilities()}
	_, a.reports = b.(durable.LagReporter)
	_, a.administers = b.(durable.Administrator)
	_, a.managesGroups = b.(durable.GroupAdministrator)
	_, a.trims = b.(durable.Trimmer)
	_, a.removes = b.(durable.Remover)
	_, a.health = b.(durable.HealthChecker)
	ctx, cancel := context.WithTimeout(context.Background(), h.Patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Fatalf("Close: got %v, want nil", err)
	}
	return a
}

func groups(a abilities, _ Harness) bool       { return a.Groups }
func replays(a abilities, _ Harness) bool      { return a.Replay }
func administers(a abilities, _ Harness) bool  { return a.administers }
func groupReports(a abilities, _ Harness) bool { return a.Groups && a.reports }
func dynamic(a abilities, _ Harness) bool      { return a.Groups && a.DynamicTopics }
func reads(a abilities, _ Harness) bool        { return a.Groups || a.Replay }
func newest(a abilities, _ Harness) bool       { return a.Groups && !a.OldestOnly }
func ordered(a abilities, _ Harness) bool      { return a.Groups && a.OrderedGroup && a.Partitions }
func trims(a abilities, h Harness) bool        { return a.Groups && h.Trim != nil }
