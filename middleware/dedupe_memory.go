package middleware

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// DefaultMemoryDedupe is the number of keys that a MemoryDedupe holds unless told otherwise.
const DefaultMemoryDedupe = 100_000

// MemoryDedupe is a DedupeStore in the memory of this process, bounded: when it is full, the event that was handled
// longest ago is forgotten before its time. Running reservations are never forgotten.
type MemoryDedupe struct {
	size  int
	epoch time.Time

	mu       sync.Mutex
	keys     map[string]*memoryKey
	handled  memoryList // in the order of handling
	reserved memoryList // in the order of reservation
	evicted  uint64
}

// memoryKey is one key; it is in the list that its state says.
type memoryKey struct {
	key        string
	token      uint64 // 0 where handled
	handled    bool
	until      int64 // nanoseconds since epoch
	prev, next *memoryKey
}

// memoryList is a ring with a head that is no element.
type memoryList struct{ head memoryKey }

var _ DedupeStore = (*MemoryDedupe)(nil)

// NewMemoryDedupe returns an empty store for size keys; DefaultMemoryDedupe where size is not positive.
func NewMemoryDedupe(size int) *MemoryDedupe {
	if size <= 0 {
		size = DefaultMemoryDedupe
	}
	m := &MemoryDedupe{size: size, epoch: time.Now(), keys: make(map[string]*memoryKey)}
	m.handled.init()
	m.reserved.init()
	return m
}

// Reserve implements DedupeStore. The error is ErrBackpressure where running reservations alone fill the store.
func (m *MemoryDedupe) Reserve(_ context.Context, rs []Reservation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := int64(time.Since(m.epoch))
	m.sweep(now)
	for i := range rs {
		if err := m.reserve(&rs[i], now); err != nil {
			return err
		}
	}
	return nil
}

// reserve decides about one key. The caller holds mu.
func (m *MemoryDedupe) reserve(r *Reservation, now int64) error {
	k := m.keys[r.Key]
	switch {
	case k == nil:
		if err := m.makeRoom(); err != nil {
			return err
		}
		k = &memoryKey{key: r.Key}
		m.keys[r.Key] = k
	case k.until <= now:
		k.unlink()
	case k.handled:
		r.State = DedupeHandled
		return nil
	case k.token != r.Token:
		r.State = DedupeBusy
		return nil
	default:
		k.unlink()
	}
	k.token, k.handled, k.until = r.Token, false, now+int64(r.Lease)
	m.reserved.push(k)
	r.State = DedupeReserved
	return nil
}

// Settle implements DedupeStore.
func (m *MemoryDedupe) Settle(_ context.Context, ss []Settlement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := int64(time.Since(m.epoch))
	for i := range ss {
		s := &ss[i]
		k := m.keys[s.Key]
		if s.Keep == 0 {
			if k != nil && !k.handled && k.token == s.Token {
				m.forget(k)
			}
			continue
		}
		if k == nil {
			if err := m.makeRoom(); err != nil {
				return err
			}
			k = &memoryKey{key: s.Key}
			m.keys[s.Key] = k
		} else {
			k.unlink()
		}
		k.token, k.handled, k.until = 0, true, now+int64(s.Keep)
		m.handled.push(k)
	}
	return nil
}

// Len is how many keys are held now, those included whose time is over and that were not looked at since.
func (m *MemoryDedupe) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.keys)
}

// Evicted is how many handled events were forgotten before their time, because the store was full.
func (m *MemoryDedupe) Evicted() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.evicted
}

// sweep forgets what is over at the front of the lists, a few at a time. The caller holds mu.
func (m *MemoryDedupe) sweep(now int64) {
	const most = 8
	for _, l := range []*memoryList{&m.handled, &m.reserved} {
		for range most {
			k := l.head.next
			if k == &l.head || k.until > now {
				break
			}
			m.forget(k)
		}
	}
}

// makeRoom forgets the event that was handled longest ago where the store is full. The caller holds mu.
func (m *MemoryDedupe) makeRoom() error {
	if len(m.keys) < m.size {
		return nil
	}
	oldest := m.handled.head.next
	if oldest == &m.handled.head {
		return fmt.Errorf("dedupe: all %s keys of the memory store are reserved: %w", strconv.Itoa(m.size), durable.ErrBackpressure)
	}
	m.forget(oldest)
	m.evicted++
	return nil
}

func (m *MemoryDedupe) forget(k *memoryKey) {
	k.unlink()
	delete(m.keys, k.key)
}

func (l *memoryList) init() { l.head.prev, l.head.next = &l.head, &l.head }

func (l *memoryList) push(k *memoryKey) {
	last := l.head.prev
	k.prev, k.next = last, &l.head
	last.next, l.head.prev = k, k
}

func (k *memoryKey) unlink() {
	k.prev.next, k.next.prev = k.next, k.prev
	k.prev, k.next = nil, nil
}
