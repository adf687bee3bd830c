package kafka

import (
	"strconv"
	"strings"
)

const (
	tallyMark  = "ds1"
	tallySpans = 32 // so that the note stays far below the broker's offset.metadata.max.bytes
)

// span says how often the records up to an offset, and after the span before, were handed out.
type span struct {
	upTo  int64
	times int
}

// tally counts deliveries across owners. It travels as the note beside a committed offset, "ds1@Ab3_x9Qz;1042:3;1050:1":
// in this incarnation of the topic, from the committed offset to 1042 three times, from 1043 to 1050 once. Spans ascend.
type tally []span

// times tells how often the record at offset was handed out by owners before.
func (t tally) times(offset int64) int {
	for _, s := range t {
		if offset <= s.upTo {
			return s.times
		}
	}
	return 0
}

// after is the tally for what comes from offset first on, when everything before offset next was handed out once more.
func (t tally) after(first, next int64) tally {
	var out tally
	add := func(upTo int64, times int) {
		switch n := len(out); {
		case upTo < first || n > 0 && upTo <= out[n-1].upTo || n == tallySpans:
		case n > 0 && out[n-1].times == times:
			out[n-1].upTo = upTo
		default:
			out = append(out, span{upTo, times})
		}
	}
	for _, s := range t {
		add(min(s.upTo, next-1), s.times+1)
		if s.upTo >= next {
			add(s.upTo, s.times)
		}
	}
	add(next-1, 1)
	return out
}

// handedOut is how many records from offset first on were handed out, holes included.
func (t tally) handedOut(first int64) int64 {
	if len(t) == 0 {
		return 0
	}
	return max(0, t[len(t)-1].upTo-first+1)
}

// note is the tally as text, with the incarnation of the topic; "" where there is nothing to tell.
func (t tally) note(incarnation string) string {
	if len(t) == 0 && incarnation == "" {
		return ""
	}
	b := append(make([]byte, 0, 24*(1+len(t))), tallyMark...)
	if incarnation != "" {
		b = append(append(b, '@'), incarnation...)
	}
	for _, s := range t {
		b = append(b, ';')
		b = strconv.AppendInt(b, s.upTo, 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(s.times), 10)
	}
	return string(b)
}

// parseTally reads a note; one of another kind counts nothing.
func parseTally(note string) tally {
	parts := strings.Split(note, ";")
	if mark, _, _ := strings.Cut(parts[0], "@"); mark != tallyMark {
		return nil
	}
	var out tally
	for _, p := range parts[1:] {
		upTo, times, _ := strings.Cut(p, ":")
		at, err1 := strconv.ParseInt(upTo, 10, 64)
		n, err2 := strconv.Atoi(times)
		if err1 != nil || err2 != nil || n < 1 || len(out) > 0 && at <= out[len(out)-1].upTo {
			return nil
		}
		out = append(out, span{at, n})
	}
	return out
}

// notedIncarnation is the incarnation that a note names, "" where it names none.
func notedIncarnation(note string) string {
	head, _, _ := strings.Cut(note, ";")
	mark, id, _ := strings.Cut(head, "@")
	if mark != tallyMark {
		return ""
	}
	return id
}
