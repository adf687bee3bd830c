package testenv

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
)

func testConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Retry.Max, cfg.Producer.Retry.Backoff = 100, 100*time.Millisecond
	cfg.Metadata.Retry.Max = 50
	return cfg
}

func createTopic(t *testing.T, brokers []string, replicas int16) string {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(brokers, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	topic := Name(t, "topic")
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: replicas}, false); err != nil {
		t.Fatal(err)
	}
	return topic
}

// send stores one record in every partition.
func send(t *testing.T, brokers []string, topic string) {
	t.Helper()
	cfg := testConfig()
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer(brokers, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for i := range int32(3) {
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: i, Value: sarama.StringEncoder("v")}); err != nil {
			t.Fatal(err)
		}
	}
}

// receive reads n records of every partition.
func receive(t *testing.T, brokers []string, topic string, n int) {
	t.Helper()
	c, err := sarama.NewConsumer(brokers, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for i := range int32(3) {
		var pc sarama.PartitionConsumer
		Await(t, soon, func() (ok bool) { // a killed leader is replaced when its session ends
			pc, err = c.ConsumePartition(topic, i, sarama.OffsetOldest)
			return err == nil
		}, "the partition has a leader")
		for range n {
			select {
			case <-pc.Messages():
			case <-time.After(soon):
				t.Errorf("partition %d: no record", i)
			}
		}
		_ = pc.Close()
	}
}

func TestSharedKafkaStores(t *testing.T) {
	brokers := Kafka(t)
	topic := createTopic(t, brokers, 1)
	send(t, brokers, topic)
	receive(t, brokers, topic, 1)
}

func TestARestartedKafkaHasItsData(t *testing.T) {
	t.Parallel()
	k := StartKafka(t, KafkaOptions{Proxied: true})
	topic := createTopic(t, k.Brokers(), 1)
	send(t, k.Brokers(), topic)
	k.Node(1).Kill()
	k.Node(1).Restart()
	receive(t, k.Brokers(), topic, 1)
	k.Node(1).Proxy().Cut()
	if _, err := brokerMetadata(k.Brokers()[0]); err == nil {
		t.Error("cut: the broker answers")
	}
	k.Node(1).Proxy().Restore()
	receive(t, k.Brokers(), topic, 1)
}

func TestThreeBrokersSurviveOne(t *testing.T) {
	t.Parallel()
	k := StartKafka(t, KafkaOptions{Nodes: 3})
	topic := createTopic(t, k.Brokers(), 3)
	send(t, k.Brokers(), topic)
	k.Node(2).Kill()
	receive(t, k.Brokers(), topic, 1)
	send(t, k.Brokers(), topic)
	receive(t, k.Brokers(), topic, 2)
	k.Node(2).Restart()
	for _, n := range k.Nodes() {
		n.Kill()
	}
	k.Restart()
	receive(t, k.Brokers(), topic, 2)
}
