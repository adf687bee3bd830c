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
// # Limits
//
// One server or a Sentinel-less primary; a topic has at most 4096 partitions; the number of partitions of a topic
// cannot change; trimming is by Config.MaxLen for every topic of the backend (default: none), not by topic or age.
package redisstream
