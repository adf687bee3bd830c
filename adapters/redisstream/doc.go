// Package redisstream stores events in Redis Streams (Redis 7.0 or later), in the entry layout of
// watermill-redisstream, so that both read what the other wrote.
//
// A topic of one partition is the stream of its name and needs no creation. CreateTopic makes one of several: its
// streams are {topic:0}, {topic:1} and so on, the number lies in the hash ds:topic:{topic}, and the plain key
// holds a text, so that a writer that does not know of the partitions is refused instead of writing aside. Every
// process looks the number up at most once per second. Keys are placed as Kafka's Java client does; messages
// without a key go round. Positions are entry ids ("1712-0"), with the partition in front where there are several
// ("3:1712-0").
//
// Concurrent appends share pipelines: whatever waits when a connection is free goes out together, without a timer.
// Nothing is retried; an append that stays without an answer for Config.AppendTimeout (5 s) has an Unknown outcome.
// A pipeline goes on after a refusal: a message that was stored although an earlier one of its key was not has
// Outcome.AfterGap.
//
// # Durability
//
// What an acknowledged append survives is a setting of the server. Open reads appendonly, save and
// maxmemory-policy, logs one warning where acknowledged events can be lost or evicted, and Health says so in words.
// Config.Persistence "require" refuses such a server. Config.MinReplicas waits for that many replicas. Redis
// replicates asynchronously: a failover can still lose what a replica had not received.
//
// # Replay
//
// Replay reads in pages without a group. A cursor whose entry was trimmed or is beyond the stream's last id is
// ErrPositionExpired; so is a replay that trimming overtakes while it is behind. A cursor right before the oldest
// stored entry counts as expired too, because the server does not tell what it trimmed. A topic that was deleted
// and made again keeps no trace of the old one: an old position that falls between its entries is not detected.
//
// # Competing members
//
// Under Ordering None the members of a group compete for the entries of each partition, as other users of consumer
// groups know it. Pending entries of a member that comes back under its name are read first, those that other members
// left alone for Config.ClaimIdle are claimed, and both by pages, in turns with new entries, so that a large backlog
// never delays these. Entries in work are kept from being claimed by a heartbeat that looks at their owner: a handler
// may run for as long as it takes. A member that leaves hands its entries over, and is removed only when it has none.
//
// A process that stood still for longer than Config.ClaimIdle, or was cut off for so long and finds that others have
// taken what it held, loses its claims: handlers that run are cancelled, their acknowledgements are ignored and
// counted (Stats.LateAcks), and what is still its own comes again. A group or stream that vanishes (FLUSHALL, XGROUP
// DESTROY, a failover to a server that does not have it) is made again at the oldest entry, with the partitions of
// its topic, and logged once.
//
// Config.NoAck reads without a pending list: at most once.
//
// # Trimming
//
// Config.MaxLen and Config.Retention, or those of a topic's TopicSpec, are kept in the background by every backend
// that appends to the topic, by the server's clock. What some group has not acknowledged stays unless
// Config.AllowUnread is set; a topic that exceeds its bound for that reason is logged once, and what was trimmed
// unread is counted in Stats. Trim does the same when asked, Remove deletes single entries. Config.TTL ends the
// streams of a topic as a whole.
//
// # Limits
//
// One server or a Sentinel-less primary; a topic has at most 4096 partitions; the number of partitions of a topic
// cannot change. A group that nobody uses any more holds trimming back until it is deleted (XGROUP DESTROY).
// Two members of the same name at the same time read each other's pending entries.
package redisstream
