package memory

import (
	"slices"
	"sync"
	"time"
)

const (
	segmentLen     = 1024
	recordOverhead = 128 // bytes that a record counts for besides its message
)

// pair is one metadata entry.
type pair struct{ key, value string }

// record is a stored message; it never changes, so that readers share it.
type record struct {
	uuid    string
	key     string
	payload []byte
	meta    []pair
	at      int64 // Unix nanoseconds, never falling within a partition
	size    int
}

// partition is a log as segments of records, all of segmentLen but the last. Offsets begin at 0.
type partition struct {
	maxLen, maxBytes int64

	mu       sync.RWMutex
	segments [][]record
	base     int64 // offset of the first record of segments[0]
	oldest   int64 // first offset that is still stored
	end      int64 // offset of the next record
	bytes    int64 // of what is stored
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
			p.bytes += int64(r.size)
		}
		p.end += int64(n)
		recs = recs[n:]
	}
	p.trim(p.maxLen, p.maxBytes)
	p.wake()
	return first
}

// trim drops the oldest records until at most maxLen records and, but for the newest, maxBytes are stored. The
// caller holds mu.
func (p *partition) trim(maxLen, maxBytes int64) {
	for p.oldest < p.end && (p.end-p.oldest > maxLen || p.bytes > maxBytes && p.end-p.oldest > 1) {
		r := p.at(p.oldest)
		p.bytes -= int64(r.size)
		*r = record{at: r.at}
		p.oldest++
	}
	drop := int((p.oldest - p.base) / segmentLen)
	if drop > 0 {
		p.segments = slices.Delete(p.segments, 0, drop)
		p.base += int64(drop) * segmentLen
	}
}

// at is the record at offset, which must be within [base, end). The caller holds mu.
func (p *partition) at(offset int64) *record {
	i := offset - p.base
	return &p.segments[i/segmentLen][i%segmentLen]
}

// bounds is the first stored offset and the offset after the last.
func (p *partition) bounds() (oldest, end int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.oldest, p.end
}

// read appends to dst at most n records from offset on that lie before limit. ok is false where offset was
// trimmed.
func (p *partition) read(dst []record, offset, limit int64, n int) (recs []record, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if offset < p.oldest {
		return dst, false
	}
	limit = min(limit, p.end, offset+int64(n))
	for offset < limit {
		i := offset - p.base
		seg := p.segments[i/segmentLen][i%segmentLen:]
		seg = seg[:min(int64(len(seg)), limit-offset)]
		dst = append(dst, seg...)
		offset += int64(len(seg))
	}
	return dst, true
}

// since is the offset of the first stored record at t or later.
func (p *partition) since(t time.Time) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	lo, hi := p.oldest, p.end
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
