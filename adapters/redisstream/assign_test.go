package redisstream

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// carry is members after they took what was assigned to them.
func carry(members []peer, to map[spot]string) []peer {
	out := make([]peer, len(members))
	for i, m := range members {
		out[i] = peer{m.id, holding{}}
		for topic := range m.holds {
			out[i].holds[topic] = []int{}
		}
		for at, owner := range to {
			if owner == m.id {
				out[i].holds[at.topic] = append(out[i].holds[at.topic], at.partition)
			}
		}
	}
	return out
}

func group(n int, topics ...string) []peer {
	out := make([]peer, n)
	for i := range out {
		out[i] = peer{fmt.Sprintf("m%03d", i), holding{}}
		for _, t := range topics {
			out[i].holds[t] = []int{}
		}
	}
	return out
}

// unevenness is the difference between the members with the most and the least partitions, of topic or of all.
func unevenness(members []peer, to map[spot]string, topic string) int {
	counts := map[string]int{}
	for _, m := range members {
		counts[m.id] = 0
	}
	for at, owner := range to {
		if topic == "" || at.topic == topic {
			counts[owner]++
		}
	}
	ns := slices.Collect(maps.Values(counts))
	return slices.Max(ns) - slices.Min(ns)
}

func TestAssignmentIsEvenCompleteAndStable(t *testing.T) {
	for members := 1; members <= 20; members++ {
		topics := map[string]int{"a": 8, "b": 1, "c": 1, "d": 13}
		all := group(members, "a", "b", "c", "d")
		to := assign(topics, all)
		if len(to) != 8+1+1+13 {
			t.Fatalf("%d members: got %d partitions assigned, want all", members, len(to))
		}
		for topic := range topics {
			if d := unevenness(all, to, topic); d > 1 {
				t.Errorf("%d members, topic %s: got a difference of %d, want at most 1", members, topic, d)
			}
		}
		if d := unevenness(all, to, ""); d > 1 {
			t.Errorf("%d members: got a difference of %d over all topics, want at most 1", members, d)
		}
		if again := assign(topics, carry(all, to)); !maps.Equal(to, again) {
			t.Errorf("%d members: what was carried out is assigned otherwise", members)
		}
	}
}

func TestAssignmentMovesNoMoreThanNeeded(t *testing.T) {
	topics := map[string]int{"a": 12}
	three := group(3, "a")
	before := assign(topics, three)
	four := append(carry(three, before), peer{"m999", holding{"a": {}}})
	moved := func(after map[spot]string) (n int) {
		for at, owner := range before {
			if after[at] != owner {
				n++
			}
		}
		return n
	}
	if n := moved(assign(topics, four)); n != 3 {
		t.Errorf("a fourth member: got %d of 12 partitions moved, want 3", n)
	}
	if n := moved(assign(topics, carry(three, before)[1:])); n != 4 {
		t.Errorf("a member less: got %d of 12 partitions moved, want its 4", n)
	}
}

func TestAssignmentSettlesFromAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		topics := map[string]int{"a": 1 + r.IntN(9), "b": 1 + r.IntN(3)}
		members := group(1+r.IntN(6), "a", "b")
		for _, m := range members { // members that claim the same, and partitions that do not exist
			for range r.IntN(5) {
				m.holds["a"] = append(m.holds["a"], r.IntN(12)-1)
			}
			if r.IntN(4) == 0 {
				delete(m.holds, "b")
			}
		}
		to := assign(topics, members)
		for at := range to {
			if at.partition < 0 || at.partition >= topics[at.topic] {
				t.Fatalf("got %v assigned, which does not exist", at)
			}
		}
		if again := assign(topics, carry(members, to)); !maps.Equal(to, again) {
			t.Fatalf("got %v, then %v", to, again)
		}
		if d := unevenness(members, to, "a"); d > 1 {
			t.Fatalf("got a difference of %d, want at most 1", d)
		}
	}
}
