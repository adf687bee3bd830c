package middleware

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Defaults of Redrive.
const (
	DefaultMaxLoops     = 3
	DefaultRedriveBatch = 100

	doneSuffix = ".done"
)

// Redrive moves poisoned events back to where they came from, after what they failed for was repaired.
//
// It reads the poison topic from its oldest event to the head of the moment and notes what it did with each in a topic
// beside it ({topic}.done), because a log gives nothing up: what is noted there is not shown or moved again. So a run
// that broke off is resumed by the next one; what was moved and not noted is moved twice, with the id it had. One run
// at a time is meant. What of the poison topic is looked at is held in memory in windows of at most 65,536 events or
// 64 MiB, one at a time; for each of them the notes are read once.
//
// A moved event has the payload, metadata, id and key that it had, in the order of its key, without the keys
// MetaPoison…; MetaRedriveGroup names the group it failed in, which alone handles it again (see Redriven), and
// MetaRedriveLoops counts. Where it had to be cut, the original is read back from its topic.
type Redrive struct {
	// Backend holds the poison topic and the topics of the events; required.
	Backend durable.Backend
	// Topic is the poison topic; required.
	Topic string
	// To names where an event goes. Defaults to its own topic.
	To func(PoisonRecord) string
	// Select chooses. The zero value is all.
	Select Selection
	// Limit is how many events at most; 0: no limit.
	Limit int
	// PerSecond bounds the rate; 0: no bound.
	PerSecond float64
	// DryRun counts, and changes nothing. It reads the originals of what was cut, as a run does.
	DryRun bool
	// MaxLoops is how often an event may be moved: one that came back as often is left. Defaults to 3.
	MaxLoops int
	// Batch is how many are moved at once. Defaults to 100.
	Batch int
	// Progress is told after every batch.
	Progress func(RedriveReport)
}

// ErrNotPoisoned is that nothing tells where an event came from, because it is in a topic that is no poison topic. Redrive.To
// moves it all the same.
var ErrNotPoisoned = errors.New("the event has no " + MetaPoisonTopic + ": is this a poison topic?")

// Selection chooses poisoned events. A zero field does not restrict.
type Selection struct {
	Classes []string // Reasons
	Types   []string // of events
	IDs     []string // of events
	Groups  []string // in which they failed
	Since   time.Time
	Until   time.Time // of the last failure: from Since, before Until
	Match   func(PoisonRecord) bool
}

// RedriveReport counts what a run did.
type RedriveReport struct {
	Read    int // events of the poison topic
	Done    int // of them, handled by an earlier run
	Matched int // of the others, selected
	Moved   int // or, in a dry run, to be moved
	Dropped int
	Looping int // left: they were moved MaxLoops times
	Missing int // left: they had been cut, and the original is no longer stored
}

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (r Redrive) Validate() error {
	if r.Backend == nil {
		return durable.Invalid("Redrive.Backend", "nil", "pass the backend that holds the poison topic")
	}
	if err := durable.CheckTopic(r.Topic); err != nil {
		return durable.Invalid("Redrive.Topic", r.Topic, "name a poison topic")
	}
	return firstError(
		notNegative("Redrive.Limit", r.Limit), notNegative("Redrive.PerSecond", r.PerSecond),
		notNegative("Redrive.MaxLoops", r.MaxLoops), notNegative("Redrive.Batch", r.Batch),
	)
}

// PoisonRecord is an event in a poison topic.
type PoisonRecord struct {
	durable.Record
	ID             string // of the event
	Type           string
	Origin         string           // the event's own topic
	OriginPosition durable.Position // in it
	Class          string           // one of the Reasons
	Reason         string           // text of the error
	Group          string           // in which it failed
	Attempts       int
	First, Last    time.Time // failures
	Loops          int       // how often it was redriven
	Cut            string    // "headers" or "payload" where it was too large
}

// RecordOf reads what the metadata of a poisoned event tell. Those of Watermill's PoisonQueue are enough.
func RecordOf(r durable.Record) PoisonRecord {
	m, attributes := r.Message.Metadata, durable.Attributes(r.Message)
	p := PoisonRecord{
		Record: r, ID: attributes[durable.MetaID], Type: attributes[durable.MetaType], Origin: m[MetaPoisonTopic],
		OriginPosition: durable.Position(m[MetaPoisonPosition]), Class: m[MetaPoisonClass], Reason: m[MetaPoisonReason],
		Group: m[MetaPoisonGroup], Cut: m[MetaPoisonCut],
	}
	if p.ID == "" {
		p.ID = r.Message.UUID
	}
	p.Attempts, _ = strconv.Atoi(m[MetaPoisonAttempts])
	p.Loops, _ = strconv.Atoi(m[MetaRedriveLoops])
	p.First, _ = time.Parse(time.RFC3339Nano, m[MetaPoisonFirst])
	p.Last, _ = time.Parse(time.RFC3339Nano, m[MetaPoisonLast])
	if p.Last.IsZero() {
		p.Last = r.StoredAt
	}
	return p
}

// Poisoned tells whether p was put into its topic by a Poison, or by Watermill's PoisonQueue.
func (p PoisonRecord) Poisoned() bool { return p.Origin != "" || p.Class != "" }

func (s Selection) takes(p PoisonRecord) bool {
	return among(s.Classes, p.Class) && among(s.Types, p.Type) && among(s.IDs, p.ID) && among(s.Groups, p.Group) &&
		(s.Since.IsZero() || !p.Last.Before(s.Since)) && (s.Until.IsZero() || p.Last.Before(s.Until)) &&
		(s.Match == nil || s.Match(p))
}

func among(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }

// List yields what is selected and was neither moved nor dropped, oldest first within each partition. A pair with an
// error is the last.
func (r Redrive) List(ctx context.Context) iter.Seq2[PoisonRecord, error] {
	return func(yield func(PoisonRecord, error) bool) {
		run, err := r.start()
		if err != nil {
			yield(PoisonRecord{}, err)
			return
		}
		for p, err := range run.selected(ctx) {
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// Run moves what is selected. After an error the report says how far it came.
func (r Redrive) Run(ctx context.Context) (RedriveReport, error) {
	return r.each(ctx, (*redriving).move)
}

// Drop notes what is selected as done, without moving it.
func (r Redrive) Drop(ctx context.Context) (RedriveReport, error) {
	return r.each(ctx, (*redriving).drop)
}
