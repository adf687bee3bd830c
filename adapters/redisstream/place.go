package redisstream

// place is one partition of a topic: of tells how many the topic has.
type place struct {
	topic     string
	partition int
	of        int
	key       string // the stream
}

func newPlace(topic string, partition, of int) place {
	return place{topic: topic, partition: partition, of: of, key: streamKey(topic, partition, of)}
}

// tag is the hash tag of the stream's key, so that the keys made of it lie in its cluster slot.
func (p place) tag() string {
	if p.of == 1 {
		return "{" + p.key + "}"
	}
	return p.key
}

// leaseKey holds the token of the member that owns the partition in group, Ordering PerKey.
func (p place) leaseKey(group string) string { return "ds:lease:" + p.tag() + ":" + group }

// groupKey is the hash of what is known of group in this partition besides its position; see enrollScript.
func (p place) groupKey(group string) string { return "ds:group:" + p.tag() + ":" + group }
