// Package kafka is the durable backend on Apache Kafka, through IBM/sarama.
//
// [Open] returns a [Backend], which implements durable.Backend, durable.Administrator, durable.LagReporter and
// durable.HealthChecker. The wire format is the one of watermill-kafka: the payload is the record's value, the
// metadata are its headers, and the header _watermill_message_uuid is the UUID. Records are placed by durable.Key
// as the Java client does (murmur2), and records without a key stay on one partition for a while and then move on.
// A record that another client wrote without these headers is an ordinary message with an empty UUID.
//
// # Appending
//
// Appends are acknowledged by all in-sync replicas and idempotent. A call ends after Config.AppendTimeout at the
// latest, whatever the broker does; messages that were handed to the client and not acknowledged by then are
// durable.Unknown, and the client may still store them later. Calls with one message and calls with several go
// through two producers, so that a lone message waits for no timer and a batch travels as few requests. A topic
// that does not exist is durable.ErrTopicNotFound, unless the broker creates topics by itself.
//
// # Consuming
//
// A group is a consumer group with the cooperative-sticky strategy and its own client. The start of a partition
// without a committed offset is resolved and committed before Consume returns. When a claim must be given up it
// drains first, for at most three quarters of Config.RebalanceTimeout; a handler that runs longer can overlap with
// the next owner. Acks are written every Config.CommitInterval, when a claim ends and in Close. Group.Member
// becomes part of the client id; membership is never static, so that a member that leaves hands over at once.
// SetTopics joins the group again with the new topics, which drains all claims of this member for a moment.
//
// # Limits
//
// Groups and Replay read committed records only. A position is "partition:offset" and does not name the topic's
// incarnation: a position of a topic that was deleted and made again is found out only where its offset is out of
// range. SASL is PLAIN. The number of attempts does not survive the death of a member.
package kafka
