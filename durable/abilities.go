package durable

import (
	"context"
	"time"
)

// HealthChecker is an optional ability of a Backend.
type HealthChecker interface {
	// Health returns nil when the broker serves appends as durably as configured, else the reason in words.
	Health(ctx context.Context) error
}

// Administrator is an optional ability of a Backend.
type Administrator interface {
	// CreateTopic creates a topic. One that exists with the same number of partitions is left as it is; with
	// another number it is ErrTopicExists.
	CreateTopic(ctx context.Context, spec TopicSpec) error
	// DeleteTopic removes a topic with its records; one that does not exist is ErrTopicNotFound.
	DeleteTopic(ctx context.Context, topic string) error
	// DescribeTopic tells the shape of a topic; ErrTopicNotFound where it does not exist.
	DescribeTopic(ctx context.Context, topic string) (TopicInfo, error)
}

// TopicSpec describes a topic to create. Zero fields take the adapter's or the broker's default.
type TopicSpec struct {
	Name        string
	Partitions  int           // defaults to the adapter's default
	Replication int           // copies, where the backend replicates by topic
	Retention   time.Duration // age after which records may be trimmed, where the backend trims by age
	MaxLen      int64         // records after which the oldest may be trimmed, where the backend trims by count
}

// TopicInfo is the shape of a topic.
type TopicInfo struct {
	Name       string
	Partitions []PartitionInfo
}

// PartitionInfo is what is stored in one partition.
type PartitionInfo struct {
	Partition int
	Oldest    Position // "" when empty
	Newest    Position // "" when empty
	Records   int64    // stored now; an upper bound where the backend only knows offsets
}

// LagReporter is an optional ability of a Backend.
type LagReporter interface {
	// Lag tells how far group is behind in each partition of topic.
	Lag(ctx context.Context, group, topic string) ([]PartitionLag, error)
}

// PartitionLag is how far a group is behind in one partition.
type PartitionLag struct {
	Partition     int
	Lag           int64         // records stored and not yet delivered or committed; -1 where unknown
	Position      Position      // the last record that the group was given, or has committed; "" where there is none or it is unknown
	Pending       int64         // delivered and not acknowledged, where the backend knows
	OldestPending time.Duration // age of the oldest record among Pending; 0 where there is none or it is unknown
	Members       []MemberLag   // who holds them, and who owns the partition, where the backend knows
}

// MemberLag is what one member of a group holds of a partition.
type MemberLag struct {
	Member        string
	Pending       int64         // delivered to it and not acknowledged
	OldestPending time.Duration // age of the oldest record among Pending; 0 where there is none
}

// Trimmer is an optional ability of a Backend.
type Trimmer interface {
	// Trim removes the oldest records of topic, of every partition alike. What some group has not acknowledged is
	// kept unless t.AllowUnread is set. ErrTopicNotFound where the topic does not exist.
	Trim(ctx context.Context, topic string, t Trim) (Trimmed, error)
}

// Trim says what may be removed. Where several fields are set each of them may remove something.
type Trim struct {
	MaxLen      int64     // keep at most so many records of a partition; 0: any number
	Before      time.Time // remove what was stored before; zero: nothing
	Exact       bool      // not a record more or less; otherwise a backend may keep some more, for less work
	AllowUnread bool      // remove also what some group has not acknowledged
}

// Trimmed is what a Trim did.
type Trimmed struct {
	Records int64 // that were removed
	Unread  int64 // of these, at least so many were not acknowledged by some group
	Held    bool  // more would have been removed, but some group has not acknowledged it
}

// Remover is an optional ability of a Backend.
type Remover interface {
	// Remove deletes the records at ps and returns how many there were. Groups do not see them any more.
	Remove(ctx context.Context, topic string, ps ...Position) (int64, error)
}

// GroupAdministrator is an optional ability of a Backend.
//
// A group that has no position in the topic is ErrInvalid to ResetGroup and DeleteGroup, so that a mistyped name is not
// taken for done.
type GroupAdministrator interface {
	// Groups names the groups that have a position in topic, sorted.
	Groups(ctx context.Context, topic string) ([]string, error)
	// ResetGroup makes group go on at start in every partition of topic; what it had not acknowledged is forgotten.
	// ErrGroupActive while a member consumes the topic, ErrPositionExpired where start is no longer stored.
	ResetGroup(ctx context.Context, group, topic string, start Start) error
	// DeleteGroup removes group's positions in topic, with what it had not acknowledged. ErrGroupActive while a
	// member consumes the topic.
	DeleteGroup(ctx context.Context, group, topic string) error
}

// Pauser is an optional ability of a Consumer: it keeps the records of one claim back while the others go on. Process
// uses it so that a partition that does not move cannot fill the whole window.
type Pauser interface {
	// Pause has Fetch return nothing more of c until Resume; what a Fetch under way returns may still have some. A claim
	// that is not held any more is ignored. It does not block, and is idempotent, as Resume is.
	Pause(c *Claim)
	// Resume undoes Pause, and a Fetch that waits looks again.
	Resume(c *Claim)
	// Claims is how many claims the member holds now, those of which nothing was fetched yet included.
	Claims() int
}
