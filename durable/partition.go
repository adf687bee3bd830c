package durable

import "github.com/ThreeDotsLabs/watermill/message"

// Key is the key by which msg is placed and ordered: its CloudEvents attribute partitionkey. "" has no order.
func Key(msg *message.Message) string { return msg.Metadata.Get(MetaPartitionKey) }

// Partition places key in one of n partitions as the Java client of Kafka does: murmur2 with the sign bit
// cleared, modulo n (org.apache.kafka.clients.producer.internals.BuiltInPartitioner). n must be positive.
func Partition(key string, n int) int {
	if n == 1 {
		return 0
	}
	return int(murmur2(key)&0x7fffffff) % n
}

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2.
func murmur2(s string) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(s))
	for len(s) >= 4 {
		k := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
		s = s[4:]
	}
	for i := len(s) - 1; i >= 0; i-- {
		h ^= uint32(s[i]) << (8 * i)
	}
	if len(s) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
