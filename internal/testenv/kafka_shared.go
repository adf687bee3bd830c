package testenv

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

const envKafka = "DUALSTREAM_TEST_KAFKA"

// Kafka returns the brokers of the shared Kafka, which stays at least until t ends. It has one node, does not
// create topics by itself, and forms groups and transactions at once.
func Kafka(t testing.TB) []string {
	t.Helper()
	brokers, release, err := SharedKafka(t.Context())
	if err != nil {
		t.Fatalf("testenv: no Kafka for this test: %v", err)
	}
	t.Cleanup(release)
	return brokers
}

// SharedKafka is [Kafka] for programs that are not tests. release lets go of the server.
func SharedKafka(ctx context.Context) (brokers []string, release func(), err error) {
	return sharedKafka().acquire(ctx)
}

func sharedKafka() service {
	return service{kind: "kafka-1", env: envKafka, prepare: prepareKafka, ping: kafkaPing}
}

func prepareKafka(ctx context.Context, dir string) (command, addrs []string, err error) {
	java, jars, err := kafkaTools(ctx)
	if err != nil {
		return nil, nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, nil, err
	}
	n := kafkaNode{
		id: 1, dir: filepath.Join(dir, "data"), client: ports[0], advertised: loopback(ports[0]),
		broker: ports[1], controller: ports[2], replicas: 1, heap: "768m", session: 9 * time.Second,
	}
	if err := n.format(ctx, java, jars, kafkaUUID(), loopback(n.controller), "--standalone"); err != nil {
		return nil, nil, err
	}
	return n.command(java, jars), []string{n.advertised}, nil
}

// kafkaTools returns the path of java and the directory of Kafka's jars.
func kafkaTools(ctx context.Context) (javaPath, jars string, err error) {
	javaPath, err = java().path(ctx)
	if err != nil {
		return "", "", err
	}
	jars, err = kafkaJars(ctx)
	return javaPath, jars, err
}

// kafkaUUID makes what StorageTool random-uuid makes, without the start of a JVM.
func kafkaUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x3f           // the first character is a letter or so: a leading "-" would read as an option
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// kafkaPing returns nil when the brokers at addrs serve metadata, groups and transactions.
func kafkaPing(ctx context.Context, addrs []string) error {
	for _, addr := range addrs {
		if err := brokerPing(addr, len(addrs)); err != nil {
			return fmt.Errorf("kafka at %s: %w", addr, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// brokerPing asks one broker, which must know of n brokers.
func brokerPing(addr string, n int) error {
	return withBroker(addr, func(b *sarama.Broker) error {
		meta, err := b.GetMetadata(&sarama.MetadataRequest{Version: 5, Topics: []string{}})
		if err != nil {
			return err
		}
		if len(meta.Brokers) < n {
			return fmt.Errorf("knows %d brokers of %d", len(meta.Brokers), n)
		}
		if err := coordinates(b, sarama.CoordinatorGroup); err != nil {
			return err
		}
		return coordinates(b, sarama.CoordinatorTransaction)
	})
}

// coordinates returns nil when a coordinator is found, which makes its internal topic where that is missing.
func coordinates(b *sarama.Broker, kind sarama.CoordinatorType) error {
	found, err := b.FindCoordinator(&sarama.FindCoordinatorRequest{Version: 1, CoordinatorKey: "testenv", CoordinatorType: kind})
	if err != nil {
		return err
	}
	if !errors.Is(found.Err, sarama.ErrNoError) {
		return found.Err
	}
	return nil
}

// brokerMetadata returns what the broker at addr knows of its cluster, without topics.
func brokerMetadata(addr string) (meta *sarama.MetadataResponse, err error) {
	err = withBroker(addr, func(b *sarama.Broker) error {
		meta, err = b.GetMetadata(&sarama.MetadataRequest{Version: 5, Topics: []string{}})
		return err
	})
	return meta, err
}

// withBroker runs do with one connection that closes afterwards.
func withBroker(addr string, do func(*sarama.Broker) error) error {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.Net.DialTimeout, cfg.Net.ReadTimeout, cfg.Net.WriteTimeout = pingTimeout, pingTimeout, pingTimeout
	b := sarama.NewBroker(addr)
	if err := b.Open(cfg); err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if ok, err := b.Connected(); !ok {
		return errors.Join(errors.New("not connected"), err)
	}
	return do(b)
}
