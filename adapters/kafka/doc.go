// Package kafka is the durable backend on Apache Kafka, through IBM/sarama.
//
// [Open] returns a [Backend], which implements durable.Backend. The wire format is the one of watermill-kafka: the payload is the record's value, the
// metadata are its headers, and the header _watermill_message_uuid is the UUID. Records are placed by durable.Key
// as the Java client does (murmur2), and records without a key stay on one partition for a while and then move on.
//
// A record of another client that has headers, such as those of CloudEvents, is an ordinary message; its UUID is empty
// where the header for it is missing. A record without any headers is a foreign entry: it is delivered with
// durable.Delivery.DecodeErr and its value, byte for byte, as the payload, so that it goes to the poison queue where
// there is one, and to the handler else. With Config.PlainRecords it is an ordinary message with an empty UUID, for
// topics of producers that know only keys and values. Either way its key orders it, and a tombstone, which has no
// value, has an empty payload.
//
// # Appending
//
// Appends are acknowledged by all in-sync replicas and idempotent. The package has a producer of its own on sarama's
// connections: a call goes as a whole into the queues of its partitions, and there is one request at a time for each
// leader, which takes all that has gathered meanwhile. A lone message leaves at once; where many callers have one
// message each, a request waits for those that come back, at most a millisecond.
//
// One batch at a time is under way for a partition, and it is repeated with the sequence it had until it is answered
// or nobody waits for it. A batch that does not end as stored is followed by a new epoch of the producer, so that a
// late copy of it is refused by the broker: it is stored neither twice nor behind its successors. A batch that the
// broker refuses for the sake of some of its records is sent again in parts, so that one caller's message does not
// fail another's.
//
// A call ends after Config.AppendTimeout at the latest, whatever the broker does. Messages whose request is not
// answered by then are durable.Unknown, and the broker may still store them; messages that wait behind it are
// durable.NotSent. A leader that is silent for half of that time is given up and its successor is asked for. A topic
// that does not exist, or does not any more, is durable.ErrTopicNotFound, unless the broker creates topics by itself.
// The number of partitions is asked again every five minutes.
//
// # Opening and closing
//
// SASL is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; TLS may show the broker a certificate. Open ends within
// Config.OpenTimeout, and names the setting that the failure points at. Close cuts all connections when its context
// ends, so that nothing outlives it for a broker that does not answer.
//
// Where the brokers have access rules, Append needs Write on the topic, Replay Read on it, and a group Read on its topics
// and on itself. An error for want of one names it, at once and without durable.ErrUnavailable. A member that loses a
// right while it runs says so once by Fetch, keeps asking every second, and goes on where it was once it is granted again.
//
// # Consuming
//
// A group is a Kafka consumer group with the cooperative-sticky strategy, which members of Java (CooperativeStickyAssignor,
// which is one of the two in Java's default) and sarama can share. Where the group's members know other strategies only,
// Fetch ends with durable.ErrUnsupported.
// The package speaks the group protocol itself, on connections of its own, so that a join that waits for others holds
// up neither heartbeats nor commits nor fetches. The start of a partition without a committed offset is resolved when
// Consume or SetTopics is called and committed before it returns: from outside where the group has no members, else
// as a member, which takes a rebalance. New partitions are noticed by the group's leader within Config.PartitionCheck
// and read from their oldest record.
//
// Claims are handed over in two phases. One that must be given up drains, for at most three quarters of
// Config.RebalanceTimeout: what was handed out finishes or is released, acks are written, and only then the group
// gives it to another member. Kafka keeps one offset for a partition, so that durable.Process handles what lies before an
// event that was started first: members that join and leave in order have nothing handled twice, but for what its
// documentation names. A handler that runs longer can overlap with the next owner. Claims that stay are not
// disturbed, whoever comes or goes, and neither are they when SetTopics adds or removes others. A member whose
// coordinator does not answer drains its claims after half of Config.SessionTimeout and loses them at its end, when
// the group may give them away; a process that was stopped for longer starts no handler any more and its acks are
// refused.
//
// A partition of which much waits for Fetch is left out of the requests; it stops neither its siblings nor the
// member's heartbeats, which do not depend on handlers. Acks are written every Config.CommitInterval, when a claim
// ends and in Close. Beside the offset a commit carries a note of how often what is not finished was handed out, from
// which the next owner knows Delivery.Attempt. What was handed out after the last commit before a death is not counted,
// so that an Attempt is a lower bound; other clients that commit for the group drop the note.
//
// Group.Member becomes part of the client id. With Config.StaticMembers it is the group.instance.id: Close then keeps
// the place, and a member that comes back within Config.SessionTimeout has its partitions without a rebalance. A second
// member of the same name ends the first one with durable.ErrFenced.
//
// # Positions and topics that are made again
//
// A position is "partition:offset@incarnation", where the incarnation is the beginning of the topic's id as Kafka's tools
// print it. A topic that was deleted and made again has another one: a position of the old topic is
// durable.ErrPositionExpired wherever it is given. The incarnation may be left out, and is of positions of appends amid
// the change; such a position is of whichever topic has the name. Brokers without topic ids have none.
// An append right after the topic was made again can still name the incarnation of the old one, where the producer has
// not noticed yet: it does when an offset goes back or a leader changes, else within five minutes.
// Right after DeleteTopic returned, a leader that has not heard of it can still acknowledge an append, which goes with
// the old topic; from then on it is durable.ErrTopicNotFound.
//
// A member notices that its topic was made again by the errors of its reads or within Config.PartitionCheck, logs it
// once, loses the claims of the old topic and begins at the oldest record of the new one, whatever Group.OnExpired says:
// nothing of the new topic is left out. So does a Replay with Follow; another one ends with durable.ErrPositionExpired.
// The note beside a committed offset names the incarnation, so that an offset that was written for the old topic is not
// taken for one of the new. A Replay with Follow and no list of partitions, and with it a durable.Reader, reads new
// partitions from their oldest record, within Config.PartitionCheck.
// The producer keeps nothing of topics that are gone, and of those that nobody has appended to for some ten minutes.
//
// # Administration
//
// Backend implements durable.Administrator, durable.GroupAdministrator, durable.Trimmer, durable.LagReporter and
// durable.HealthChecker. Kafka resets a group only while it has no members, whatever their topics. PartitionLag.Pending
// comes from the note of the last commit, PartitionLag.OldestPending from the record at the committed offset.
// There is no durable.Remover: Kafka deletes the oldest records of a partition, which is Trim, and never one amid others.
//
// # Limits
//
// Groups and Replay read committed records only: an open transaction holds its partition up until it ends, at the
// latest after its transaction.timeout.ms. When a static member that leads its group restarts, new partitions are
// noticed with the next rebalance only.
package kafka
