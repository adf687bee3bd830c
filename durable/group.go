package durable

import (
	"maps"
	"time"
)

// Group describes a consumer group and the member that joins it.
type Group struct {
	// Name of the group; required. Letters, digits, '.', '_', '-' and ':'.
	Name string
	// Member names this member within the group. Defaults to a unique name. A member that comes back with the
	// name it had is given its unfinished deliveries first, where the backend keeps them per member.
	Member string
	// Topics to consume; at least one. A zero TopicStart.Start is Start.
	Topics []TopicStart
	// Start is where the group begins in a topic in which it has no position yet. Defaults to Oldest.
	// Partitions that are added later start at their oldest record.
	Start Start
	// Ordering defaults to PerKey.
	Ordering Ordering
	// OnExpired says what happens when a start or the group's position is no longer stored. Defaults to
	// ExpiredFail.
	OnExpired ExpiredPolicy
	// Waiting, where it is set, tells how many of the deliveries that this member has fetched and not acknowledged
	// would not be handled now whatever was free: they wait for a retry, are parked, or stand behind such a one of
	// their key, or behind one whose handler takes long. A backend that gives a member no more than it works off soon
	// does not count them. It blocks for no more than a moment and may be called from any goroutine, by few, as it
	// looks at all that is held. Process sets it.
	Waiting func() int
}

// TopicStart names a topic and where a new group starts in it.
type TopicStart struct {
	Topic string
	Start Start // zero: the group's Start
}

// Topics is the list of names as TopicStarts that begin where the group does.
func Topics(names ...string) []TopicStart {
	ts := make([]TopicStart, len(names))
	for i, n := range names {
		ts[i].Topic = n
	}
	return ts
}

// Ordering is the promise of order that a group asks for.
type Ordering int

// The orderings.
const (
	// PerKey delivers the events of one key in stored order, whatever the number of members.
	PerKey Ordering = iota
	// None lets members compete for the entries of one partition where the backend can; a backend that always
	// orders still does.
	None
)

// ExpiredPolicy says what to do about a position that is no longer stored.
type ExpiredPolicy int

// The policies.
const (
	// ExpiredFail ends the consumer with ErrPositionExpired.
	ExpiredFail ExpiredPolicy = iota
	// ExpiredOldest goes on at the oldest stored record; the jump is logged and counted.
	ExpiredOldest
)

// StartKind tells the kinds of Start apart.
type StartKind int

// The kinds of start.
const (
	StartDefault StartKind = iota // the group's start; for a group and for Range: the oldest record
	StartOldest
	StartNewest
	StartAfter
	StartAt
)

// Start is where reading begins. The zero value is the default of its context; see StartDefault.
type Start struct {
	kind   StartKind
	cursor Cursor
	time   time.Time
}

// Oldest starts at the oldest stored record.
func Oldest() Start { return Start{kind: StartOldest} }

// Newest starts with the first record stored after the call.
func Newest() Start { return Start{kind: StartNewest} }

// After starts after the cursor's position in each of its partitions, and at the oldest record of the others.
func After(c Cursor) Start { return Start{kind: StartAfter, cursor: maps.Clone(c)} }

// At starts with the first record stored at t or later.
func At(t time.Time) Start { return Start{kind: StartAt, time: t} }

// Kind tells which of the constructors made s.
func (s Start) Kind() StartKind { return s.kind }

// Cursor is a copy of what After was given, nil for other kinds.
func (s Start) Cursor() Cursor { return maps.Clone(s.cursor) }

// Time is what At was given, zero for other kinds.
func (s Start) Time() time.Time { return s.time }

// Or is s, or fallback where s is the default.
func (s Start) Or(fallback Start) Start {
	if s.kind == StartDefault {
		return fallback
	}
	return s
}

// Range selects what Replay yields. The zero value is all that is stored now.
type Range struct {
	// From is where to begin; defaults to Oldest.
	From Start
	// To ends the replay of each partition that it names after the record at that position. Partitions it does
	// not name end at their head, or never under Follow.
	To Cursor
	// ToTime ends a partition before the first record stored at that time or later; zero: no such end.
	ToTime time.Time
	// Partitions limits the replay to these; nil: all.
	Partitions []int
	// Follow goes on at the head until ctx ends, instead of ending there.
	Follow bool
}
