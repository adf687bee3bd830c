package memory

import (
	"slices"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// group is the state of a consumer group: positions, members and who owns what.
type group struct {
	mu      sync.Mutex
	topics  map[string]*groupTopic
	members []*consumer // in order of joining
	joins   int64       // of members without a name
}

// groupTopic holds the group's place in every partition of a topic.
type groupTopic struct {
	topic  *topic
	places []*place
}

// place is the group's position in a partition and its owner. Guarded by group.mu.
type place struct {
	topic     *topic
	partition int

	committed int64         // everything before it is acknowledged
	attempts  map[int64]int // deliveries of earlier claims that were not finished

	owner  *consumer // nil: nobody
	target *consumer // who shall own it
	seat   *seat     // of the owner, with the present claim
	epoch  int64
	timer  *time.Timer // ends the draining of the claim
}

// seat is the present claim of a place, and what of it is handed out.
type seat = adapterkit.Seat[*place]

func (pl *place) log() *partition { return pl.topic.partitions[pl.partition] }

// enter makes the group's places in t, beginning at offsets. The caller holds mu.
func (g *group) enter(t *topic, offsets []int64) {
	gt := &groupTopic{topic: t, places: make([]*place, len(t.partitions))}
	for i := range gt.places {
		gt.places[i] = &place{topic: t, partition: i, committed: offsets[i]}
	}
	g.topics[t.name] = gt
}

// topicCreated gives a topic that was made again to the members that want it, from its beginning.
func (g *group) topicCreated(t *topic) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.ContainsFunc(g.members, func(c *consumer) bool { return c.wants(t.name) }) {
		return
	}
	g.enter(t, make([]int64, len(t.partitions)))
	g.rebalance()
}

// topicDeleted forgets the group's places in a topic.
func (g *group) topicDeleted(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gt := g.topics[name]
	if gt == nil {
		return
	}
	delete(g.topics, name)
	for _, pl := range gt.places {
		pl.target = nil
		g.surrender(pl, durable.ErrTopicNotFound)
	}
}

// rebalance decides who shall own each place and begins the hand-overs. The caller holds mu.
func (g *group) rebalance() {
	places := g.sorted()
	spread(places, g.members)
	for _, pl := range places {
		switch pl.owner {
		case pl.target:
		case nil:
			g.grant(pl)
		default:
			g.drain(pl)
		}
	}
}

// sorted is all places in a fixed order.
func (g *group) sorted() []*place {
	names := make([]string, 0, len(g.topics))
	for name := range g.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []*place
	for _, name := range names {
		out = append(out, g.topics[name].places...)
	}
	return out
}

// spread sets the target of every place so that members which want it own equally many, moving as few as it can.
func spread(places []*place, members []*consumer) {
	load := make(map[*consumer]int, len(members))
	least := func(pl *place) *consumer {
		var best *consumer
		for _, c := range members {
			if c.wants(pl.topic.name) && (best == nil || load[c] < load[best]) {
				best = c
			}
		}
		return best
	}
	for _, pl := range places {
		if pl.target != nil && (!slices.Contains(members, pl.target) || !pl.target.wants(pl.topic.name)) {
			pl.target = nil
		}
		if pl.target != nil {
			load[pl.target]++
		}
	}
	for _, pl := range places {
		if pl.target != nil {
			continue
		}
		if pl.target = least(pl); pl.target != nil {
			load[pl.target]++
		}
	}
	for moved := true; moved; {
		moved = false
		for _, pl := range places {
			if to := least(pl); to != nil && load[pl.target]-load[to] > 1 {
				load[pl.target]--
				load[to]++
				pl.target, moved = to, true
			}
		}
	}
}

// grant gives a free place to its target. The caller holds mu.
func (g *group) grant(pl *place) {
	if pl.target == nil {
		return
	}
	pl.epoch++
	pl.owner = pl.target
	pl.seat = &seat{Claim: durable.NewClaim(pl.owner.life, pl.topic.name, pl.partition, pl.epoch), Of: pl}
	pl.seat.Reset(pl.committed)
	pl.owner.seats.Add(pl.seat)
	pl.log().watch(pl.owner.wake)
	signal(pl.owner.wake)
}

// drain asks the owner to give pl up, and takes it when nothing is handed out or the time is over. The caller
// holds mu.
func (g *group) drain(pl *place) {
	pl.seat.Claim.Drain()
	if len(pl.seat.Handed()) == 0 {
		g.surrender(pl, nil)
		return
	}
	if pl.timer != nil {
		return
	}
	draining := pl.seat
	pl.timer = time.AfterFunc(pl.owner.drainTimeout, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if pl.seat == draining {
			g.surrender(pl, nil)
		}
	})
}

// surrender ends the present claim with cause and grants pl to its target. What was handed out and not finished
// counts as an attempt. The caller holds mu.
func (g *group) surrender(pl *place, cause error) {
	if pl.owner == nil {
		return
	}
	if pl.timer != nil {
		pl.timer.Stop()
		pl.timer = nil
	}
	for _, off := range pl.seat.Handed() {
		if pl.attempts == nil {
			pl.attempts = map[int64]int{}
		}
		pl.attempts[off]++
	}
	pl.seat.Claim.Lose(cause)
	pl.log().unwatch(pl.owner.wake)
	pl.owner.seats.Remove(pl.seat)
	pl.owner, pl.seat = nil, nil
	g.grant(pl)
}
