package memory

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/dualstream/dualstream/durable"
)

// Store holds topics and groups. Several backends may share one, as several processes share a broker.
type Store struct {
	// Lock order: Store.mu, group.mu, partition.mu.
	mu      sync.RWMutex
	topics  map[string]*topic
	groups  map[string]*group
	scratch sync.Pool // *batch
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{
		topics:  map[string]*topic{},
		groups:  map[string]*group{},
		scratch: sync.Pool{New: func() any { return new(batch) }},
	}
}

// topic is a set of partitions; its shape never changes.
type topic struct {
	name        string
	incarnation string // tells a topic apart from one of the same name that was deleted
	partitions  []*partition
	turn        atomic.Uint32 // where the next message without a key goes
}

func newTopic(name string, partitions int, maxLen, maxBytes int64) *topic {
	t := &topic{
		name:        name,
		incarnation: strconv.FormatUint(rand.Uint64(), 36),
		partitions:  make([]*partition, partitions),
	}
	for i := range t.partitions {
		t.partitions[i] = &partition{maxLen: maxLen, maxBytes: maxBytes}
	}
	return t
}

// place is the partition of a message with key.
func (t *topic) place(key string) int {
	n := len(t.partitions)
	if n == 1 {
		return 0
	}
	if key == "" {
		return int(t.turn.Add(1) % uint32(n))
	}
	return durable.Partition(key, n)
}

// topic returns the topic name, made with the defaults of b if it does not exist.
func (b *Backend) topic(name string) *topic {
	s := b.store
	s.mu.RLock()
	t := s.topics[name]
	s.mu.RUnlock()
	if t != nil {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.ensure(name)
}

// ensure is topic for callers that hold Store.mu.
func (b *Backend) ensure(name string) *topic {
	if t := b.store.topics[name]; t != nil {
		return t
	}
	t := newTopic(name, b.cfg.Partitions, b.cfg.MaxLen, b.cfg.MaxBytes)
	b.store.add(t)
	return t
}

// add makes t known and gives it to the groups that wait for its name. The caller holds mu.
func (s *Store) add(t *topic) {
	s.topics[t.name] = t
	for _, g := range s.groups {
		g.topicCreated(t)
	}
}

// group returns the group name, made if it does not exist. The caller holds mu.
func (s *Store) group(name string) *group {
	g := s.groups[name]
	if g == nil {
		g = &group{topics: map[string]*groupTopic{}}
		s.groups[name] = g
	}
	return g
}
