package memory

import (
	"slices"
	"sync"
	"time"
)

const (
	removed        = -1 // the offset of a record that was removed
	segmentLen     = 1024
	recordOverhead = 128 // bytes that a record counts for besides its message
)

// pair is one metadata entry.
type pair struct{ key, value string }

// record is a stored message; its parts never change, so that readers share them.
type record struct {
	uuid    string
	key     string
	payload []byte
	meta    []pair
	at      int64 // Unix nanoseconds, never falling within a partition
	offset  int64 // removed where it was removed from between others
	size    int
}

// partition is a log as segments of records, all of segmentLen but the last. Offsets begin at 0.
type partition struct {
	maxLen, maxBytes int64

	mu       sync.RWMutex
	segments [][]record
	base     int64   // offset of the first record of segments[0]
	oldest   int64   // first offset that was not trimmed
	first    int64   // first offset that is still stored, end where none is: between oldest and it all was removed
	holes    []int64 // offsets behind first that were removed, rising
	end      int64   // offset of the next record
	bytes    int64   // of what is stored
	lastAt   int64
	watchers []chan struct{} // capacity 1; woken once per batch
}

// append stores recs at now and returns the offset of the first.
func (p *partition) append(recs []record, now int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.end
	p.lastAt = max(p.lastAt, now)
	for len(recs) > 0 {
		last := len(p.segments) - 1
		if last < 0 || len(p.segments[last]) == segmentLen {
			p.segments = append(p.segments, make([]record, 0, segmentLen))
			last++
		}
		n := min(len(recs), segmentLen-len(p.segments[last]))
		at := len(p.segments[last])
		p.segments[last] = append(p.segments[last], recs[:n]...)
		for i := at; i < at+n; i++ {
			r := &p.segments[last][i]
			r.at = p.lastAt
			r.offset = p.end + int64(i-at)
			p.bytes += int64(r.size)
		}
		p.end += int64(n)
		recs = recs[n:]
	}
	p.trim(p.maxLen, p.maxBytes)
	p.wake()
	return first
}

// trim drops the oldest records until no more than maxLen offsets are in use and, but for the newest, maxBytes are
// stored. The caller holds mu.
func (p *partition) trim(maxLen, maxBytes int64) {
	for p.first < p.end && (p.end-p.first > maxLen || p.bytes > maxBytes && p.stored() > 1) {
		p.drop()
	}
	p.shrink()
}

// drop trims the oldest record. The caller holds mu.
func (p *partition) drop() {
	p.clear(p.first)
	p.first++
	p.oldest = p.first
	p.skipHoles()
}

// clear lets go of what the record at offset holds; its time stays. The caller holds mu.
func (p *partition) clear(offset int64) {
	r := p.at(offset)
	p.bytes -= int64(r.size)
	*r = record{at: r.at, offset: removed}
}

// skipHoles moves first to a record that is stored. The caller holds mu.
func (p *partition) skipHoles() {
	for len(p.holes) > 0 && p.holes[0] == p.first {
		p.holes = p.holes[1:]
		p.first++
	}
}

// shrink lets go of segments of which nothing is stored. The caller holds mu.
func (p *partition) shrink() {
	if n := int((p.first - p.base) / segmentLen); n > 0 {
		p.segments = slices.Delete(p.segments, 0, n)
		p.base += int64(n) * segmentLen
	}
}

// at is the record at offset, which must be within [base, end). The caller holds mu.
func (p *partition) at(offset int64) *record {
	i := offset - p.base
	return &p.segments[i/segmentLen][i%segmentLen]
}

// bounds is the first offset that was not trimmed and the offset after the last.
func (p *partition) bounds() (oldest, end int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.oldest, p.end
}

// read appends to dst at most n records from offset on that lie before limit. next is the offset behind them and behind
// what was removed before or between them. ok is false where offset was trimmed.
func (p *partition) read(dst []record, offset, limit int64, n int) (recs []record, next int64, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if offset < p.oldest {
		return dst, offset, false
	}
	offset, limit = max(offset, p.first), min(limit, p.end)
	for offset < limit && n > 0 {
		i, before := offset-p.base, len(dst)
		seg := p.segments[i/segmentLen][i%segmentLen:]
		seg = seg[:min(int64(len(seg)), limit-offset, int64(n))]
		dst = append(dst, seg...)
		if len(p.holes) > 0 {
			dst = dst[:before+len(slices.DeleteFunc(dst[before:], func(r record) bool { return r.offset == removed }))]
		}
		offset += int64(len(seg))
		n -= len(dst) - before
	}
	return dst, offset, true
}

// since is the offset of the first stored record at t or later.
func (p *partition) since(t time.Time) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.sinceLocked(t)
}

// sinceLocked is since for callers that hold mu.
func (p *partition) sinceLocked(t time.Time) int64 {
	lo, hi := p.first, p.end
	nanos := t.UnixNano()
	for lo < hi {
		mid := lo + (hi-lo)/2
		if p.at(mid).at < nanos {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// watch has ch woken by every append until unwatch. ch has capacity 1.
func (p *partition) watch(ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers = append(p.watchers, ch)
}

func (p *partition) unwatch(ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.watchers, ch); i >= 0 {
		p.watchers = slices.Delete(p.watchers, i, i+1)
	}
}

// wake leaves one pending wake-up with every watcher. The caller holds mu.
func (p *partition) wake() {
	for _, ch := range p.watchers {
		signal(ch)
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
