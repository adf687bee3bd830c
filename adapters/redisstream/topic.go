package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const (
	mostPartitions = 4096
	fieldParts     = "partitions"
	fieldLen       = "max_len"      // of the topic; 0 or none: as configured
	fieldRetention = "retention_ms" // of the topic; 0 or none: as configured
)

// topicKey is the hash that holds the shape of topic. It lies in the cluster slot of the stream of one partition.
func topicKey(topic string) string { return "ds:topic:{" + topic + "}" }

// streamKey is the stream of a partition of topic, which has n.
func streamKey(topic string, partition, n int) string {
	if n == 1 {
		return topic
	}
	return "{" + topic + ":" + strconv.Itoa(partition) + "}"
}

// position names entry id of a partition of a topic of n partitions.
func position(id string, partition, n int) durable.Position {
	if n == 1 {
		return durable.Position(id)
	}
	return durable.Position(strconv.Itoa(partition) + ":" + id)
}

// parsePosition is the inverse of position; the id is in the form that Redis gives it.
func parsePosition(p durable.Position, n int) (partition int, id string, err error) {
	id = string(p)
	if n > 1 {
		var part string
		var ok bool
		part, id, ok = strings.Cut(id, ":")
		partition, err = strconv.Atoi(part)
		if !ok || err != nil || partition < 0 || partition >= n || strconv.Itoa(partition) != part {
			return 0, "", invalidPosition(p, n)
		}
	}
	ms, seq, ok := parseID(id)
	if !ok {
		return 0, "", invalidPosition(p, n)
	}
	return partition, formatID(ms, seq), nil
}

func invalidPosition(p durable.Position, n int) error {
	form := "an entry id such as 1712-0"
	if n > 1 {
		form = fmt.Sprintf("a partition below %d and an entry id such as 1:1712-0", n)
	}
	return fmt.Errorf("redisstream: %w", durable.Invalid("position", string(p), "use "+form))
}

// parseID reads "milliseconds-sequence".
func parseID(id string) (ms, seq uint64, ok bool) {
	left, right, ok := strings.Cut(id, "-")
	if !ok {
		return 0, 0, false
	}
	ms, err1 := strconv.ParseUint(left, 10, 64)
	seq, err2 := strconv.ParseUint(right, 10, 64)
	return ms, seq, err1 == nil && err2 == nil
}

func formatID(ms, seq uint64) string {
	return strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(seq, 10)
}

// compareIDs is negative, zero or positive as a is before, at or after b. Text that is no id counts as 0-0.
func compareIDs(a, b string) int {
	ams, aseq, _ := parseID(a)
	bms, bseq, _ := parseID(b)
	switch {
	case ams < bms, ams == bms && aseq < bseq:
		return -1
	case ams == bms && aseq == bseq:
		return 0
	default:
		return 1
	}
}

// storedAt is the server's time of storing that an entry id holds, as far as it was given by the server.
func storedAt(id string) time.Time {
	ms, _, ok := parseID(id)
	if !ok || ms > 1<<62 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// partitions is the number of partitions of topic, one where it was not created. It may be shapeTTL old; where
// the server cannot tell now, the last known number stands.
func (b *Backend) partitions(ctx context.Context, topic string) (int, error) {
	was, fresh := b.shapes.get(topic)
	if fresh {
		return was.n, nil
	}
	seen := b.shapes.seen()
	found, _, keep, err := b.lookUp(ctx, topic)
	if err == nil && was != nil && was.n > 1 && found == 1 {
		keep = was.keep
		found, err = b.restore(ctx, topic, was.n, keep)
	}
	if err != nil && was != nil {
		found, keep, err = was.n, was.keep, nil
	}
	if err != nil {
		return 0, err
	}
	b.shapes.refresh(topic, seen, found, keep)
	return found, nil
}

// lookUp asks the server for the number of partitions of topic, one where it was not created, and how much of it is kept.
func (b *Backend) lookUp(ctx context.Context, topic string) (n int, created bool, k keeping, err error) {
	values, err := b.control.HMGet(ctx, topicKey(topic), fieldParts, fieldLen, fieldRetention, "version").Result()
	if err != nil {
		return 0, false, keeping{}, fmt.Errorf("redisstream: partitions of %q: %w", topic, unavailable(ctx, err))
	}
	if version, ok := values[3].(string); ok && version != "1" {
		return 0, false, keeping{}, laterVersion("topic "+strconv.Quote(topic), version)
	}
	numbers := [3]int64{1}
	for i, name := range []string{fieldParts, fieldLen, fieldRetention} {
		text, ok := values[i].(string)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || i == 0 && (n < 1 || n > mostPartitions) {
			return 0, false, keeping{}, fmt.Errorf("redisstream: partitions of %q: the field %q of %q is %q, no number in range",
				topic, name, topicKey(topic), text)
		}
		numbers[i] = n
	}
	k = keeping{maxLen: numbers[1], retention: time.Duration(numbers[2]) * time.Millisecond}
	created = slices.ContainsFunc(values, func(v any) bool { return v != nil })
	return int(numbers[0]), created, k, nil
}

// unavailable is passing, but for the end of ctx, the caller's: a time of its own that a dial ran out of may pass.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	return passing(err)
}

// passing marks what may pass, a refusal for now or no connection, and what an administrator has to grant.
func passing(err error) error {
	var refused redis.Error
	if rediskit.Denied(err) {
		return fmt.Errorf("%w: %w: %s", durable.ErrDenied, err, grant(err))
	}
	if errors.As(err, &refused) && !transient(err.Error()) {
		return err
	}
	return fmt.Errorf("%w: %w", durable.ErrUnavailable, err)
}

// grant is what to do about a refusal of the user.
func grant(err error) string {
	if text := err.Error(); strings.Contains(text, "NOPERM") || strings.Contains(text, "script") {
		return `grant it by ACL SETUSER to the user of the setting "username", or name another user`
	}
	return `check the settings "username" and "password"`
}

// placement says which partition each message of an append goes to.
type placement struct {
	topic   string
	n       int
	parts   []int    // nil where n is 1
	streams []string // by partition, filled where used; nil where n is 1
}

// place puts messages of one key in one partition and those without one in turn.
func (b *Backend) place(topic string, n int, msgs []*message.Message) placement {
	p := placement{topic: topic, n: n}
	if n == 1 {
		return p
	}
	p.parts, p.streams = make([]int, len(msgs)), make([]string, n)
	for i, m := range msgs {
		part := 0
		if key := durable.Key(m); key != "" {
			part = durable.Partition(key, n)
		} else {
			part = int(b.turn.Add(1) % uint64(n))
		}
		p.parts[i] = part
		if p.streams[part] == "" {
			p.streams[part] = streamKey(topic, part, n)
		}
	}
	return p
}

// stream is where message i goes.
func (p *placement) stream(i int) string {
	if p.n == 1 {
		return p.topic
	}
	return p.streams[p.parts[i]]
}

// position is that of message i, stored as entry id.
func (p *placement) position(i int, id string) durable.Position {
	if p.n == 1 {
		return durable.Position(id)
	}
	return position(id, p.parts[i], p.n)
}
