package durable

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Monitor tells what Process does while it runs; see ProcessOptions.Monitor. The zero value is ready for use. Several
// calls of Process may share one: it sums them up, and keeps the counters of those that have ended. All methods are
// safe for concurrent use.
type Monitor struct {
	mu    sync.Mutex // taken before the one of a run
	runs  []*run
	ended map[string]TopicStats
}

// ProcessStats is a snapshot of a Monitor.
type ProcessStats struct {
	// Topics are the counters by topic.
	Topics map[string]TopicStats
	// Stalls are the deliveries that keep a full window from moving now: the oldest one of each call of Process.
	Stalls []Stall
}

// TopicStats counts deliveries of one topic. At any time
//
//	Received == Acked + Released + Lost + InFlight
type TopicStats struct {
	Received    uint64 // fetched
	Redelivered uint64 // fetched with an Attempt above 1
	Acked       uint64 // acknowledged: accepted by the consumer
	Released    uint64 // given back unacknowledged
	Lost        uint64 // their claim was lost, or Process ended without knowing that they were acknowledged

	InFlight      int // fetched and none of the above yet
	InFlightBytes int // their bytes (see Size)
	Running       int // in a handler
	Waiting       int // for a retry
	Parked        int // see Park

	Succeeded uint64 // attempts that returned nil
	Failed    uint64 // attempts that returned an error or panicked, Release and Stop aside
	Stalls    uint64 // times that a delivery kept a full window from moving for StallAfter
}

// Stall names the oldest delivery of a window that is full, or nearly, after it was held for StallAfter: because of it
// little or nothing is fetched.
type Stall struct {
	Topic     string
	Partition int
	Position  Position
	Key       string
	Attempt   int
	Since     time.Time // when it was fetched
	Held      int       // deliveries held by the whole window
	HeldBytes int       // their bytes
}

// Total is the sum over all topics.
func (s ProcessStats) Total() TopicStats {
	var sum TopicStats
	for _, t := range s.Topics {
		sum.add(t)
	}
	return sum
}

// Stats is what happened so far and what is held now.
func (m *Monitor) Stats() ProcessStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := ProcessStats{Topics: maps.Clone(m.ended)}
	if s.Topics == nil {
		s.Topics = make(map[string]TopicStats)
	}
	for _, r := range m.runs {
		if stall := r.snapshot(s.Topics); stall != nil {
			s.Stalls = append(s.Stalls, *stall)
		}
	}
	return s
}

// begin counts r from now on. A nil Monitor does nothing.
func (m *Monitor) begin(r *run) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs = append(m.runs, r)
}

// end keeps the counters of r and forgets it. What r still holds is lost to it.
func (m *Monitor) end(r *run) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs = slices.DeleteFunc(m.runs, func(o *run) bool { return o == r })
	last := make(map[string]TopicStats)
	r.snapshot(last)
	if m.ended == nil {
		m.ended = make(map[string]TopicStats)
	}
	for topic, t := range last {
		t.Lost += uint64(t.InFlight)
		t.InFlight, t.InFlightBytes, t.Running, t.Waiting, t.Parked = 0, 0, 0, 0, 0
		sum := m.ended[topic]
		sum.add(t)
		m.ended[topic] = sum
	}
}

// snapshot adds the counters of r to sums and returns its stall, nil if there is none.
func (r *run) snapshot(sums map[string]TopicStats) *Stall {
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic, t := range r.topics {
		sum := sums[topic]
		sum.add(*t)
		sums[topic] = sum
	}
	return r.stalled
}

// topic is the counters of a topic. The caller holds mu.
func (r *run) topic(name string) *TopicStats {
	t := r.topics[name]
	if t == nil {
		t = new(TopicStats)
		r.topics[name] = t
	}
	return t
}

func (t *TopicStats) add(o TopicStats) {
	t.Received += o.Received
	t.Redelivered += o.Redelivered
	t.Acked += o.Acked
	t.Released += o.Released
	t.Lost += o.Lost
	t.InFlight += o.InFlight
	t.InFlightBytes += o.InFlightBytes
	t.Running += o.Running
	t.Waiting += o.Waiting
	t.Parked += o.Parked
	t.Succeeded += o.Succeeded
	t.Failed += o.Failed
	t.Stalls += o.Stalls
}

// arrived counts a fetched task. The caller holds mu.
func (t *TopicStats) arrived(size, attempt int) {
	t.Received++
	if attempt > 1 {
		t.Redelivered++
	}
	t.InFlight++
	t.InFlightBytes += size
}

// left counts n tasks of size bytes as gone to where counter counts them. The caller holds mu.
func (t *TopicStats) left(counter *uint64, n, size int) {
	*counter += uint64(n)
	t.InFlight -= n
	t.InFlightBytes -= size
}
