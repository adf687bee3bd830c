package testenv

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	clusterMasters = 3
	clusterSlots   = 16384
)

// A Cluster is a private Redis Cluster of three masters without replicas: while one of them is down, the cluster
// refuses commands.
type Cluster struct {
	t     testing.TB
	nodes []*RedisServer
}

// StartRedisCluster starts it; it ends with t. All slots are served when it returns.
func StartRedisCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	buses := make([]int, clusterMasters)
	for i := range buses {
		bus, err := freePort()
		must(t, "find a port", err)
		buses[i] = bus
		c.nodes = append(c.nodes, StartRedis(t, RedisOptions{Settings: []string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "2000",
		}}))
	}
	ctx := t.Context()
	for i, n := range c.nodes {
		client := n.Client()
		first, last := i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1
		must(t, "assign slots", client.Do(ctx, "cluster", "addslotsrange", first, last).Err())
		must(t, "set the epoch", client.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		host, port := splitAddr(c.nodes[0].addr)
		if i > 0 {
			must(t, "meet", client.Do(ctx, "cluster", "meet", host, port, buses[0]).Err())
		}
	}
	c.AwaitOK()
	return c
}

// AwaitOK returns once every node knows every other and serves.
func (c *Cluster) AwaitOK() {
	c.t.Helper()
	for _, n := range c.nodes {
		client := n.Client()
		Await(c.t, readyTimeout, func() bool {
			info, err := client.ClusterInfo(context.Background()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_size:%d", clusterMasters)) &&
				strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", clusterSlots))
		}, "the cluster serves, seen from "+n.addr)
	}
}

// Addrs are the nodes' addresses.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

// Nodes are the masters, in the order of their slots.
func (c *Cluster) Nodes() []*RedisServer { return slices.Clone(c.nodes) }

// Client returns a new client of the whole cluster. It closes with the test.
func (c *Cluster) Client() *redis.ClusterClient {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()})
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}
