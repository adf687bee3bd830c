package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

const (
	partitions = 4       // of every topic
	kafkaRate  = 250_000 // events a second for which topics to consume from are filled
)

// kafkaPaths compare a Kafka: append in batches, from many callers and alone; and consume in a group.
// Each raw subject has the flush setting that was the best of a dozen for what its callers do.
func kafkaPaths(prefix string, open func(*lab) (*cluster, error), best1000 flush) []path {
	appends := func(name string, g goal, loop publishLoop, tuned flush) path {
		p := path{name: prefix + "-append-" + name, goal: g, subjects: []subject{
			appending(subjectRaw, rawKafka(open, tuned), loop),
			appending(subjectOurs, oursKafka(open), loop),
			appending(subjectWatermill, watermillKafka(open), loop),
		}}
		if tuned != (flush{}) {
			p.subjects = append(p.subjects, appending("raw, default flush", rawKafka(open, flush{}), loop))
		}
		return p
	}
	lone := appends("lone", goal{atMost: 1.2}, timedBatches(1), flush{})
	lone.metric = p50
	var records stock
	consume := path{name: prefix + "-consume", goal: goal{atLeast: 0.60, aim: 0.70}, subjects: []subject{
		records.consuming(subjectRaw, kafkaRate, rawKafkaConsumer(open)),
		records.consuming(subjectOurs, kafkaRate, oursKafkaConsumer(open)),
		records.consuming(subjectWatermill, kafkaRate, watermillKafkaConsumer(open)),
	}}
	return []path{
		appends("1000", goal{atLeast: 0.90}, batches(1000), best1000),
		appends("100", goal{atLeast: 0.90}, batches(100), flush{100, time.Millisecond}),
		appends("64callers", goal{atLeast: 0.95}, callers(64), flush{64, 2 * time.Millisecond}),
		lone,
		consume,
	}
}

// A cluster is a Kafka and the clients that look after its topics.
type cluster struct {
	brokers  []string
	replicas int16
	admin    sarama.ClusterAdmin
	client   sarama.Client
	l        *lab

	dial []string    // what raw subjects and ours dial: brokers, or the same behind TLS
	tls  *tls.Config // for dial; nil: plain text
}

func newCluster(l *lab, brokers []string, replicas int16) (*cluster, error) {
	c := &cluster{brokers: brokers, dial: brokers, replicas: replicas, l: l}
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
	return c, c.warm(l.ctx)
}

// warm makes the brokers work for a while: they become several times faster in the first seconds of their life.
func (c *cluster) warm(ctx context.Context) error {
	topic, err := c.fill(ctx, 300_000)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(c.brokers, rawConfig(flush{}))
	if err != nil {
		return err
	}
	one := rawRecords(newPool())[0]
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && err == nil; {
		m := one.to(topic)
		_, _, err = producer.SendMessage(&m)
	}
	return errors.Join(err, producer.Close())
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

// appended implements store; it compares the sum of the end offsets.
func (c *cluster) appended(ctx context.Context, work func(topic string) (sample, error)) (sample, error) {
	topic := c.l.name("append")
	if err := errors.Join(c.create(ctx, topic), c.prime(topic)); err != nil {
		return sample{}, err
	}
	before, err := c.stored(topic)
	if err != nil {
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
	if stored -= before; stored != s.events {
		return s, fmt.Errorf("the end offsets add up to %d after %d appended events", stored, s.events)
	}
	return s, c.admin.DeleteTopic(topic)
}

// prime writes a record to each partition of a new topic: the first one waits until the followers fetch it, which can
// take half a second.
func (c *cluster) prime(topic string) error {
	cfg := rawConfig(flush{})
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(c.brokers, cfg)
	if err != nil {
		return err
	}
	for p := range int32(partitions) {
		_, _, sent := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: p})
		err = errors.Join(err, sent)
	}
	return errors.Join(err, producer.Close())
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

// fill implements source.
func (c *cluster) fill(ctx context.Context, n int64) (string, error) {
	topic := c.l.name("consume")
	if err := c.create(ctx, topic); err != nil {
		return "", err
	}
	c.l.after(func() error { return c.admin.DeleteTopic(topic) })
	producer, err := sarama.NewSyncProducer(c.brokers, rawConfig(flush{}))
	if err != nil {
		return "", err
	}
	records := rawRecords(newPool())
	for done := int64(0); done < n && err == nil; done += int64(len(records)) {
		err = errors.Join(ctx.Err(), sendAll(producer, topic, records))
	}
	return topic, errors.Join(err, producer.Close())
}

// acknowledged implements source: the group has committed the end of every partition.
func (c *cluster) acknowledged(_ context.Context, topic, group string) error {
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
	return nil
}

// forget implements source.
func (c *cluster) forget(ctx context.Context, _, group string) error {
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
