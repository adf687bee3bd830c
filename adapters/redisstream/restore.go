package redisstream

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/durable"
)

// restore stores the number of partitions of topic again, and how much of it is kept, which the server has forgotten
// while this process used it, unless the topic was made again in another shape. It returns the number that the topic has.
func (b *Backend) restore(ctx context.Context, topic string, n int, keep keeping) (int, error) {
	have, err := b.control.Eval(ctx, createTopicScript, []string{topicKey(topic), topic},
		n, keep.maxLen, keep.retention.Milliseconds()).Int()
	if err != nil {
		return 0, fmt.Errorf("redisstream: partitions of %q: %w", topic, unavailable(ctx, err))
	}
	if have == 0 {
		return 0, fmt.Errorf("redisstream: the server forgot the %d partitions of %q, and its key is in use: %w", n, topic, durable.ErrTopicExists)
	}
	if have == n {
		b.logger().Warn("redisstream: the server forgot the partitions of the topic, they are stored again", "topic", topic, "partitions", n)
	}
	return have, nil
}
