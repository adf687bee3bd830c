package redisstream

import (
	"cmp"
	"maps"
	"slices"
)

// holding is what a member tells the others of its group: the topics that it consumes, and in each of them the
// partitions that it owns.
type holding map[string][]int

// peer is a member of a group as the others see it.
type peer struct {
	id    string
	holds holding
}

// spot names a partition.
type spot struct {
	topic     string
	partition int
}

// assign spreads the partitions of topics (their numbers by name) over the members that consume them. Within a topic
// the numbers of two members differ by one at most; who has one more is chosen so that the sums over all topics are
// even, too. Members keep what they own as far as that allows. All members that see the same come to the same result,
// and an assignment that was carried out is assigned again.
func assign(topics map[string]int, members []peer) map[spot]string {
	out := make(map[spot]string)
	sums := make(map[string]int, len(members))
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		t := spread{topic: topic, n: topics[topic], sums: sums, out: out}
		for _, m := range members {
			if owned, consumes := m.holds[topic]; consumes {
				t.members = append(t.members, m.id)
				t.owned = append(t.owned, owned)
			}
		}
		if len(t.members) > 0 {
			t.run()
		}
	}
	return out
}

// spread is the assignment of one topic.
type spread struct {
	topic   string
	n       int
	members []string
	owned   [][]int // by member
	sums    map[string]int
	out     map[spot]string
}

func (t *spread) run() {
	quotas := t.quotas()
	kept := make([]int, len(t.members))
	taken := make([]bool, t.n)
	give := func(i, p int) {
		taken[p] = true
		kept[i]++
		t.out[spot{t.topic, p}] = t.members[i]
		t.sums[t.members[i]]++
	}
	for i, owned := range t.owned {
		for _, p := range slices.Sorted(slices.Values(owned)) {
			if p >= 0 && p < t.n && !taken[p] && kept[i] < quotas[i] {
				give(i, p)
			}
		}
	}
	next := 0
	for p := range t.n {
		if taken[p] {
			continue
		}
		for kept[next] == quotas[next] {
			next++
		}
		give(next, p)
	}
}

// quotas is how many partitions each member gets.
func (t *spread) quotas() []int {
	m := len(t.members)
	out := slices.Repeat([]int{t.n / m}, m)
	order := make([]int, m)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(t.sums[t.members[a]], t.sums[t.members[b]]),
			cmp.Compare(len(t.owned[b]), len(t.owned[a])),
			cmp.Compare(t.members[a], t.members[b]),
		)
	})
	for _, i := range order[:t.n%m] {
		out[i]++
	}
	return out
}
