package redisstream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

// stretch is what is to be read of one partition: behind after, up to end.
type stretch struct {
	partition, of int
	key           string
	after, end    string
	lagging       bool // the last page was full: the entry at after must still be stored
}

// stretches settles r against what is stored now.
func (b *Backend) stretches(ctx context.Context, topic string, r durable.Range) ([]*stretch, error) {
	n, _, err := b.shapeOf(ctx, topic)
	if err != nil {
		return nil, err
	}
	for _, c := range []durable.Cursor{r.From.Cursor(), r.To} {
		if err := checkCursor(c, n); err != nil {
			return nil, err
		}
	}
	wanted := r.Partitions
	if wanted == nil {
		for p := range n {
			wanted = append(wanted, p)
		}
	}
	out := make([]*stretch, 0, len(wanted))
	for _, p := range wanted {
		if p < 0 || p >= n {
			return nil, durable.Invalid("partition", strconv.Itoa(p), fmt.Sprintf("the topic has %d", n))
		}
		info, _, err := b.info(ctx, streamKey(topic, p, n))
		if err != nil {
			return nil, err
		}
		s, err := newStretch(topic, p, n, r, info)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// checkCursor returns an error unless every position of c belongs to the partition that it stands at.
func checkCursor(c durable.Cursor, n int) error {
	for p, pos := range c {
		in, _, err := parsePosition(pos, n)
		if err != nil {
			return err
		}
		if p < 0 || p >= n || n > 1 && in != p {
			return durable.Invalid("cursor", fmt.Sprintf("%d: %s", p, pos), fmt.Sprintf("use partitions below %d with positions of their own", n))
		}
	}
	return nil
}

func newStretch(topic string, p, n int, r durable.Range, info *redis.XInfoStream) (*stretch, error) {
	s := &stretch{partition: p, of: n, key: streamKey(topic, p, n), after: beginning, end: info.LastGeneratedID}
	if r.Follow {
		s.end = endless
	}
	if pos, ok := r.To[p]; ok {
		if _, id, err := parsePosition(pos, n); err == nil && compareIDs(id, s.end) < 0 {
			s.end = id
		}
	}
	if !r.ToTime.IsZero() {
		if id := idBefore(r.ToTime); compareIDs(id, s.end) < 0 {
			s.end = id
		}
	}
	switch r.From.Kind() {
	case durable.StartNewest:
		s.after = info.LastGeneratedID
	case durable.StartAt:
		s.after = idBefore(r.From.Time())
	case durable.StartAfter:
		pos, ok := r.From.Cursor()[p]
		if !ok {
			break
		}
		_, id, err := parsePosition(pos, n)
		if err != nil {
			return nil, err
		}
		if expired(info, id) {
			return nil, fmt.Errorf("position %s: %w", pos, durable.ErrPositionExpired)
		}
		s.after = id
	}
	return s, nil
}

// expired tells whether something behind id may be gone, or id was never given out by this stream. Trimming leaves
// no trace but the first entry that is left.
func expired(info *redis.XInfoStream, id string) bool {
	if id == beginning {
		return info.EntriesAdded > info.Length
	}
	switch c := compareIDs(id, info.LastGeneratedID); {
	case c > 0:
		return true
	case c == 0:
		return false
	default:
		return info.Length == 0 || compareIDs(id, info.FirstEntry.ID) < 0
	}
}
