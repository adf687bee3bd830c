package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// partitions of every topic.
const partitions = 4

// kafkaPaths compare a Kafka: append in batches, from many callers and alone; one of a single broker also consume.
func kafkaPaths(prefix string, open func(*lab) (*cluster, error)) []path {
	batch := func(n int, least float64) path {
		return path{
			name: fmt.Sprintf("%s-append-%d", prefix, n), goal: goal{atLeast: least},
			subjects: []subject{
				{subjectRaw, rawKafkaBatch(open, n, flushOf(n))},
				{"raw, default flush", rawKafkaBatch(open, n, flush{})},
				{subjectWatermill, watermillKafkaBatch(open, n)},
			},
		}
	}
	return []path{
		batch(1000, 0.90),
		batch(100, 0.90),
		{
			name: prefix + "-append-64callers", goal: goal{atLeast: 0.95},
			subjects: []subject{
				{subjectRaw, rawKafkaCallers(open, 64, flushCallers)},
				{"raw, default flush", rawKafkaCallers(open, 64, flush{})},
				{subjectWatermill, watermillKafkaCallers(open, 64)},
			},
		},
		{
			name: prefix + "-append-lone", metric: p50, goal: goal{atMost: 1.2},
			subjects: []subject{
				{subjectRaw, rawKafkaLone(open)},
				{subjectWatermill, watermillKafkaLone(open)},
			},
		},
	}
}

// A cluster is a Kafka and the clients that look after its topics.
type cluster struct {
	brokers  []string
	replicas int16
	admin    sarama.ClusterAdmin
	client   sarama.Client
	l        *lab
}

func newCluster(l *lab, brokers []string, replicas int16) (*cluster, error) {
	c := &cluster{brokers: brokers, replicas: replicas, l: l}
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_9_0_0
	var err error
	if c.client, err = sarama.NewClient(brokers, cfg); err != nil {
		return nil, err
	}
	if c.admin, err = sarama.NewClusterAdminFromClient(c.client); err != nil {
		return nil, errors.Join(err, c.client.Close())
	}
	l.all = append(l.all, c.admin.Close) // closes the client
	return c, nil
}

// create makes a topic and returns once every partition has a leader.
func (c *cluster) create(ctx context.Context, name string) error {
	err := c.admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: c.replicas}, false)
	if err != nil {
		return err
	}
	return until(ctx, 30*time.Second, func() error {
		if err := c.client.RefreshMetadata(name); err != nil {
			return err
		}
		for p := range int32(partitions) {
			if _, err := c.client.Leader(name, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// appended gives work a new topic, and afterwards checks its end offsets and deletes it.
func (c *cluster) appended(ctx context.Context, work func(topic string) (sample, error)) (sample, error) {
	topic := c.l.name("append")
	if err := c.create(ctx, topic); err != nil {
		return sample{}, err
	}
	s, err := work(topic)
	if err != nil {
		return s, err
	}
	stored, err := c.stored(topic)
	if err != nil {
		return s, err
	}
	if stored != s.events {
		return s, fmt.Errorf("the end offsets add up to %d after %d appended events", stored, s.events)
	}
	return s, c.admin.DeleteTopic(topic)
}

// stored is the sum of the end offsets of topic.
func (c *cluster) stored(topic string) (int64, error) {
	var sum int64
	for p := range int32(partitions) {
		end, err := c.client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return 0, err
		}
		sum += end
	}
	return sum, nil
}

// consumed checks that group has committed the end of topic, and removes it.
func (c *cluster) consumed(ctx context.Context, topic, group string) error {
	for p := range int32(partitions) {
		end, err := c.client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return err
		}
		res, err := c.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {p}})
		if err != nil {
			return err
		}
		if block := res.GetBlock(topic, p); block == nil || block.Offset != end {
			return fmt.Errorf("group %q has not committed the end %d of partition %d: %+v", group, end, p, block)
		}
	}
	return until(ctx, 30*time.Second, func() error { return c.admin.DeleteConsumerGroup(group) })
}

// until calls try until it succeeds; it returns its last error when that does not happen in time.
func until(ctx context.Context, timeout time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}
