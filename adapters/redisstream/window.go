package redisstream

import (
	"slices"
	"strconv"
	"strings"
)

// entryNo is an entry id as numbers.
type entryNo struct{ ms, seq uint64 }

func parseNo(id string) entryNo {
	ms, seq, _ := parseID(id)
	return entryNo{ms, seq}
}

func (a entryNo) compare(b entryNo) int {
	switch {
	case a.ms < b.ms, a.ms == b.ms && a.seq < b.seq:
		return -1
	case a == b:
		return 0
	default:
		return 1
	}
}

// slot is an entry that was read and is not committed.
type slot struct {
	no      entryNo
	attempt int32
	state   slotState
}

type slotState uint8

const (
	slotOpen slotState = iota // queued, or fetched and not finished
	slotBack                  // fetched and released
	slotDone                  // acknowledged
)

// window is the entries of a partition behind its position, in stored order.
type window struct {
	slots []slot
	head  int // slots before it are gone
}

func (w *window) len() int { return len(w.slots) - w.head }

func (w *window) add(s slot) {
	if w.head > 1024 && w.head > len(w.slots)/2 {
		w.slots = slices.Delete(w.slots, 0, w.head)
		w.head = 0
	}
	w.slots = append(w.slots, s)
}

// find returns the slot of an entry, nil where the window has none. The first one is found at once.
func (w *window) find(no entryNo) *slot {
	open := w.slots[w.head:]
	if len(open) == 0 {
		return nil
	}
	if open[0].no == no {
		return &open[0]
	}
	i, found := slices.BinarySearchFunc(open, no, func(s slot, no entryNo) int { return s.no.compare(no) })
	if !found {
		return nil
	}
	return &open[i]
}

// advance takes finished slots off the head: how many, and the last of them.
func (w *window) advance() (n int, last entryNo) {
	for w.head < len(w.slots) && w.slots[w.head].state == slotDone {
		last = w.slots[w.head].no
		w.head++
		n++
	}
	if w.head == len(w.slots) {
		w.slots, w.head = w.slots[:0], 0
	}
	return n, last
}

// journal is what the next owner has to know of entries behind the position: how often each was started, or that it
// is done. As a text it is the position, and "id=starts" and "id=done" with blanks between.
type journal map[entryNo]int32

const journalDone int32 = -1

// parseJournal reads a journal at a position. It is nil where the group was set back since.
func parseJournal(text string, at entryNo) journal {
	first, rest, _ := strings.Cut(text, " ")
	if rest == "" || at.compare(parseNo(first)) < 0 {
		return nil
	}
	j := journal{}
	for item := range strings.SplitSeq(rest, " ") {
		id, what, _ := strings.Cut(item, "=")
		if what == "done" {
			j[parseNo(id)] = journalDone
			continue
		}
		if n, err := strconv.ParseInt(what, 10, 32); err == nil {
			j[parseNo(id)] = int32(n)
		}
	}
	return j
}

func (j journal) text(at entryNo) string {
	var out strings.Builder
	out.WriteString(formatID(at.ms, at.seq))
	for no, n := range j {
		out.WriteByte(' ')
		out.WriteString(formatID(no.ms, no.seq))
		out.WriteByte('=')
		if n == journalDone {
			out.WriteString("done")
		} else {
			out.WriteString(strconv.Itoa(int(n)))
		}
	}
	return out.String()
}

// journal notes the entries of w up to started in j.
func (w *window) journal(j journal, started entryNo) {
	for _, s := range w.slots[w.head:] {
		switch {
		case s.state == slotDone:
			j[s.no] = journalDone
		case s.no.compare(started) <= 0:
			j[s.no] = s.attempt
		case s.attempt > 1: // what the owner before left
			j[s.no] = s.attempt - 1
		}
	}
}
