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
// # Order per key
//
// Under Ordering PerKey a partition is owned by one member at a time: a topic of n partitions keeps n members busy, and
// further ones stand by. Members show themselves on the server every second (every third of Config.LeaseTTL where that
// is shorter), and each computes by itself who is to own what: evenly over all topics, and with few moves. So a member
// that comes or leaves is noticed within that time, and one that died when its lease ends, after Config.LeaseTTL (10 s).
// A partition that moves is drained first: handlers that run may finish for another Config.LeaseTTL, after which their
// claim is lost. What is done is handed over as done even where something before it is not.
//
// The owner reads with XREAD, on one connection for each partition (at most 1024 in a member), and commits the finished
// prefix of a partition by a script that moves the group's position if the lease still has its token, and else refuses.
// So nothing is ever pending, and XINFO's lag is what is not committed. No handler starts under a lease that is within
// a fifth of its end, by the monotonic clock of the member, which is looked at before each start; at that moment the
// claim is lost and the contexts of its handlers end. Wall clocks mean nothing. At most 4096 entries of a partition are
// read and not committed, because one of them is not finished: reading then waits, which is logged. They are also what
// a crash redelivers at most. Delivery.Attempt counts starts over hand-overs; after a crash only the first entry behind
// the position is known to have been started.
//
// A group has one ordering, which is stored with it: joining with the other one is ErrOrdering, and so is joining a
// group whose members compete by other means. Vanished groups are made again where the owner's position is, or at the
// oldest entry where the stream is another one, and logged once. Entries that were trimmed before the group read them
// are ErrPositionExpired, or a line in the log, as Group.OnExpired says.
//
// What a lease cannot fence: the effects of a handler that goes on after its context has ended; a failover, because
// replication is asynchronous, which may take leases and positions back to an earlier state; FLUSHALL, which removes
// the leases (members take back what they own, and take nothing else for Config.LeaseTTL, but one that joins at that
// very moment does not know); a machine that sleeps, whose monotonic clock may stop, until its next commit is refused;
// programs that move the group by XREADGROUP or XGROUP.
//
// Keys, where P is {topic} for one partition and {topic:0}, {topic:1} … for several, so that a partition lies in one
// cluster slot: ds:lease:P:GROUP holds the token of the owner; ds:group:P:GROUP is a hash of the group's ordering, the
// number of changes of owner and what the last one left; ds:members:{GROUP} is the hash of the members. The last ends
// with the group's members, the first with its owner.
//
// Config.OrderedAppend appends to each partition by one script that stops at the first refusal, so that nothing is
// stored behind a hole: what comes behind is NotSent. Otherwise it is stored, with Outcome.AfterGap.
//
// # Competing members
//
// Under Ordering None the members of a group compete for the entries of each partition, as other users of consumer
// groups know it. Pending entries of a member that comes back under its name are read first, those that other members
// left alone for Config.ClaimIdle are claimed, and both by pages, in turns with new entries, so that a large backlog
// never delays these. Entries in work are kept from being claimed by a heartbeat that looks at their owner: a handler
// may run for as long as it takes. A member takes about as much as it works off soon, so that a backlog spreads over
// all of them. A member that leaves hands its entries over, and is removed only when it has none.
//
// A process that stood still for longer than Config.ClaimIdle, or was cut off for so long and finds that others have
// taken what it held, loses its claims (after the server itself stood still, members have ClaimIdle to tell it what they
// work on before the others look): handlers that run are cancelled, their acknowledgements are ignored and
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
// # Redis Cluster
//
// Config.Cluster names some nodes instead of Config.Addr; nothing else changes, and keys have the same names: those of a
// partition have its hash tag, and no command touches two slots. Appends and acknowledgements go over one connection to
// each master, found by slot; refusals that name another node (MOVED, ASK) are followed, and after a lost connection the
// cluster is asked again. An append to partitions on several masters is one pipeline to each. Reads have a connection
// for each partition, under both orderings.
//
// A slot that moves loses nothing and repeats nothing. When a master dies, appends to its partitions fail as NotSent,
// or are Unknown where they were on their way, until its replica has taken over; the other partitions go on, if the
// cluster has cluster-require-full-coverage "no". Replication is asynchronous: Config.MinReplicas makes an append that only the
// master had Unknown. Health and the look at the server's settings ask every master. TTL, trimming and administration
// work as on one server. While a slot is on its way, scripts of several keys wait for the last of them.
// The nodes are reached under the addresses that they announce, and these are not rewritten: behind NAT or in containers
// set cluster-announce-ip and -port on the nodes to what the program reaches.
//
// # Access
//
// A refusal by an access rule, and of a user who is not let in any more, is durable.ErrDenied. A member that is refused
// what it reads, acknowledges or leases keeps asking: Fetch says so once, Health as long as it lasts, and it goes on where
// it was when it is granted.
//
// Who appends needs +ping +info +config|get +hmget +xadd, with OrderedAppend +eval +evalsha +script|load too; who consumes
// +ping +info +config|get +get +hget +hmget +hset +hdel +exists +xinfo +xgroup +xreadgroup +xack +xpending +xclaim +time
// +eval +evalsha, with order per key +set +del +xread +hgetall +pexpire too; who replays +hmget +xinfo +xrange +xread; who
// makes topics +eval +hget +hset +type +set +del +xlen +xinfo. The keys are the topics and ds:*; those of a topic of
// several partitions begin with a brace.
//
// # Versions
//
// What the server keeps beside entries (ds:topic:…, ds:group:…) is version 1 where its hash has no field "version". A
// program that finds a later one refuses the topic or the group with durable.ErrUnsupported and changes nothing.
//
// # Limits
//
// A topic has at most 4096 partitions; the number of
// partitions of a topic cannot change. A group that nobody uses any more holds trimming back until it is deleted
// (DeleteGroup). Two members of the same name at the same time read each other's pending entries. A member under
// Ordering None that is not run by durable.Process, and whose Group.Waiting is not set, takes further ones slowly, 64 in
// 30 s, while it has 64 or more deliveries that it does not finish.
//
// # On the wire
//
// An entry as redis-cli shows it: the UUID, the metadata as a msgpack map (of an event: its CloudEvents attributes and
// what the application added), and the payload as it is.
//
//	$ redis-cli XRANGE orders - +
//	1) 1) "1712345678901-0"
//	   2) 1) "_watermill_message_uuid"
//	      2) "0190a5f2-6c6b-7c1e-9a55-3c1f3d0a7b10"
//	      3) "metadata"
//	      4) "\x81\xafce_partitionkey\xa242"
//	      5) "payload"
//	      6) "{\"total\":99}"
//
// With Fields as Config.Marshaller, or the section fields of a configuration file, entries are plain fields instead, as
// other programs write and read them.
//
// An entry that is no message is delivered with Delivery.DecodeErr, and no byte of it is lost. One that has a field
// payload, such as an entry whose metadata are broken, has the bytes of that field as its payload, the UUID of its field
// (or the id of the entry, where it has none), and what else it has as a JSON object in the metadata key MetaFields. Of
// any other, and of what a Marshaller refuses, the payload is a JSON object of all fields, with sorted names. In both, a
// value that is not UTF-8 is {"base64":"…"}, the values of a name that occurs several times are an array, and where a name
// is not UTF-8, its value is {"name":{"base64":"…"},"value":…} under the name with U+FFFD in it. A payload or a UUID that
// occurs several times is one of the other fields.
package redisstream
