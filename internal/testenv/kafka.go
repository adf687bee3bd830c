package testenv

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// privateSession keeps fault tests quick, and still lets a busy machine pause a broker for a while.
const privateSession = 5 * time.Second

// KafkaOptions describe a private Kafka. The zero value is one node.
type KafkaOptions struct {
	Nodes   int      // 1 or 3; defaults to 1. With 3, topics have 3 replicas and need 2 by default
	Proxied bool     // every broker advertises a Proxy to clients; brokers reach each other past it
	Heap    string   // of each JVM; defaults to "512m"
	Config  []string // further lines of server.properties, such as "message.max.bytes=1000"

	listeners func(kafkaNode) []string // further lines that need to know the node
}

// A KafkaCluster is a private Kafka.
type KafkaCluster struct {
	t     testing.TB
	nodes []*KafkaNode
}

// A KafkaNode is one broker and controller of a private Kafka.
type KafkaNode struct {
	*Server
	proxy *Proxy
	plan  kafkaNode
}

// StartKafka starts a Kafka that ends with t.
func StartKafka(t testing.TB, opts KafkaOptions) *KafkaCluster {
	t.Helper()
	java, jars, err := kafkaTools(t.Context())
	must(t, "no Kafka for this test", err)
	c := &KafkaCluster{t: t}
	for id := 1; id <= max(1, opts.Nodes); id++ {
		c.nodes = append(c.nodes, newKafkaNode(t, id, opts))
	}
	bootstrap, quorum := c.quorum()
	clusterID := kafkaUUID()
	for _, n := range c.nodes {
		must(t, "prepare "+n.name, n.plan.format(t.Context(), java, jars, clusterID, bootstrap, quorum...))
		n.command = n.plan.command(java, jars)
		n.run()
	}
	c.await()
	return c
}

func newKafkaNode(t testing.TB, id int, opts KafkaOptions) *KafkaNode {
	t.Helper()
	ports := reservePorts(t, 3)
	n := &KafkaNode{plan: kafkaNode{
		id: id, dir: tempDir(t), client: ports[0], advertised: loopback(ports[0]), broker: ports[1],
		controller: ports[2], replicas: max(1, opts.Nodes), heap: either(opts.Heap, "512m"), session: privateSession, more: opts.Config,
	}}
	n.Server = &Server{
		t: t, name: "kafka node " + strconv.Itoa(id), dir: n.plan.dir,
		ready: func(context.Context) error { return n.serves() },
	}
	if opts.listeners != nil {
		n.plan.more = append(n.plan.more, opts.listeners(n.plan)...)
	}
	if opts.Proxied {
		n.proxy = NewProxy(t, loopback(n.plan.client))
		n.plan.advertised = n.proxy.Addr()
	}
	return n
}

// quorum returns the controllers for the settings and for the storage tool.
func (c *KafkaCluster) quorum() (bootstrap string, args []string) {
	var addrs, initial []string
	for _, n := range c.nodes {
		addr := loopback(n.plan.controller)
		addrs = append(addrs, addr)
		initial = append(initial, fmt.Sprintf("%d@%s:%s", n.plan.id, addr, kafkaUUID()))
	}
	return strings.Join(addrs, ","), []string{"--initial-controllers", strings.Join(initial, ",")}
}

// await returns once every node serves and knows all others.
func (c *KafkaCluster) await() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.await()
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	err := pollErr(ctx, func() error {
		for _, n := range c.nodes {
			if err := brokerPing(loopback(n.plan.client), len(c.nodes)); err != nil {
				return err
			}
		}
		return nil
	})
	must(c.t, "form a cluster", err)
}

// Brokers are the addresses that clients under test dial: the proxies' where there are any.
func (c *KafkaCluster) Brokers() []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.plan.advertised)
	}
	return addrs
}

// Nodes returns all brokers.
func (c *KafkaCluster) Nodes() []*KafkaNode { return append([]*KafkaNode(nil), c.nodes...) }

// Node returns the broker of that id, as metadata name it; ids count from 1.
func (c *KafkaCluster) Node(id int) *KafkaNode {
	c.t.Helper()
	if id < 1 || id > len(c.nodes) {
		c.t.Fatalf("testenv: no Kafka node %d: ids are 1 to %d", id, len(c.nodes))
	}
	return c.nodes[id-1]
}

// Restart starts all brokers again that were killed or stopped. One after the other they would wait for a quorum.
func (c *KafkaCluster) Restart() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.child.ended() {
			n.spawn()
		}
	}
	c.await()
}

// ID is the broker's id.
func (n *KafkaNode) ID() int { return n.plan.id }

// Addr is what clients dial: the proxy's address where there is one.
func (n *KafkaNode) Addr() string { return n.plan.advertised }

// Proxy is what KafkaOptions.Proxied put in front of the broker, or nil.
func (n *KafkaNode) Proxy() *Proxy { return n.proxy }

// Dir is the directory of the broker's log segments.
func (n *KafkaNode) Dir() string { return filepath.Join(n.plan.dir, "data") }

// serves returns nil once the broker itself is part of the cluster.
func (n *KafkaNode) serves() error {
	meta, err := brokerMetadata(loopback(n.plan.client))
	if err != nil {
		return err
	}
	for _, b := range meta.Brokers {
		if int(b.ID()) == n.plan.id {
			return nil
		}
	}
	return fmt.Errorf("node %d is not in the cluster yet", n.plan.id)
}
