package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A kafkaNode is the plan of one broker and controller in one process.
type kafkaNode struct {
	id         int // from 1
	dir        string
	client     int    // port of the listener for clients
	advertised string // what clients are told to dial: the client listener, or a proxy in front of it
	broker     int    // port of the listener between brokers, never proxied
	controller int
	replicas   int // of the internal topics
	heap       string
	// session is how long a killed broker counts as alive: its partitions find a new leader, and its restart is let
	// in, only afterwards.
	session time.Duration
	more    []string // lines that follow ours and win
}

func (n kafkaNode) propertiesFile() string { return filepath.Join(n.dir, "server.properties") }

// properties are the settings of the node. Topics are never created by accident, the first member of a group does
// not wait for others, and internal topics are small, so that tests are quick.
func (n kafkaNode) properties(bootstrap string) string {
	rf, isr := strconv.Itoa(n.replicas), strconv.Itoa(max(1, n.replicas-1))
	listeners := func(client string) string {
		return fmt.Sprintf("CLIENT://%s,BROKER://%s,CONTROLLER://%s", client, loopback(n.broker), loopback(n.controller))
	}
	lines := []string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(n.id),
		"controller.quorum.bootstrap.servers=" + bootstrap,
		"listeners=" + listeners(loopback(n.client)),
		"advertised.listeners=" + listeners(n.advertised),
		"listener.security.protocol.map=CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name=BROKER",
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + filepath.Join(n.dir, "data"),
		"auto.create.topics.enable=false",
		"num.partitions=1",
		"default.replication.factor=" + rf,
		"offsets.topic.replication.factor=" + rf,
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=" + rf,
		"transaction.state.log.min.isr=" + isr,
		"transaction.state.log.num.partitions=4",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
		"share.coordinator.state.topic.replication.factor=" + rf,
		"share.coordinator.state.topic.min.isr=" + isr,
		"share.coordinator.state.topic.num.partitions=1",
		"min.insync.replicas=" + isr,
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=1000",
		"broker.session.timeout.ms=" + strconv.FormatInt(n.session.Milliseconds(), 10),
		"broker.heartbeat.interval.ms=500",
		"log.retention.hours=24",
		"log.segment.bytes=67108864",
		"log.cleaner.dedupe.buffer.size=8388608",
		"log.cleaner.backoff.ms=1000",
		"num.network.threads=2",
		"num.io.threads=4",
	}
	return strings.Join(append(lines, n.more...), "\n") + "\n"
}

// command runs the node.
func (n kafkaNode) command(java, jars string) []string {
	return append(jvm(java, jars, "-Xmx"+n.heap, "-Xms128m"), "kafka.Kafka", n.propertiesFile())
}

// jvm starts a command line. On two cores, the serial collector and the first compiler alone took half of G1's and
// the optimizing compiler's processor time and two thirds of their memory, at the same throughput (ProducerPerformance,
// acks=all, 256 bytes: 345k/s against 326k/s warm, 311k/s against 190k/s cold).
func jvm(java, jars string, flags ...string) []string {
	return slices.Concat([]string{java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, flags, []string{
		"-cp", filepath.Join(jars, "*"), "-Dlog4j2.configurationFile=" + filepath.Join(jars, "log4j2.properties"),
	})
}

// format writes the settings and makes the node's storage. quorum is what the storage tool needs to know of the
// first controllers.
func (n kafkaNode) format(ctx context.Context, java, jars, clusterID, bootstrap string, quorum ...string) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(n.propertiesFile(), []byte(n.properties(bootstrap)), 0o600); err != nil {
		return err
	}
	args := slices.Concat(jvm(java, jars),
		[]string{"kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.propertiesFile()}, quorum)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the storage of Kafka: %w: %s", err, out)
	}
	return nil
}
