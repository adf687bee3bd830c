package realtime

import (
	"slices"
	"testing"
)

func TestChannelsAreThoseOfTheSources(t *testing.T) {
	sources := [][2]string{{"order", "42"}, {"repo", "owner/repo"}, {"repo", "owner/repo"}, {"a", "b:c"}}
	want := make([]string, len(sources))
	for i, s := range sources {
		want[i] = Channel(s[0], s[1])
	}
	source := func(i int) (string, string) { return sources[i][0], sources[i][1] }
	if got := Channels(len(sources), source); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Channels(0, source); len(got) != 0 {
		t.Errorf("of none: %q", got)
	}
	if allocs := testing.AllocsPerRun(100, func() { Channels(len(sources), source) }); allocs > 2 {
		t.Errorf("%v allocations, want 2", allocs)
	}
}
