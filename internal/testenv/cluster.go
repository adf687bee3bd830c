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
	// nodeTimeout is after how many milliseconds of silence a node counts as dead. With 2 s, a machine short of processor
	// time may have seen a failover that no test asked for.
	nodeTimeout = 4000
)

// ClusterOptions describe a private Redis Cluster. The zero value has no replicas: while a master is down, the cluster
// refuses commands.
type ClusterOptions struct {
	Replicas bool                    // one of each master, which follows it when it dies
	Redis    RedisOptions            // of every node
	Arm      func(ns []*RedisServer) // called before the nodes meet, such as to make users
}

// A Cluster is a private Redis Cluster of three masters.
type Cluster struct {
	t     testing.TB
	opts  ClusterOptions
	nodes []*RedisServer // masters, then their replicas
}

// StartRedisCluster starts one without replicas; it ends with t. All slots are served when it returns.
func StartRedisCluster(t testing.TB) *Cluster {
	t.Helper()
	return StartRedisClusterWith(t, ClusterOptions{})
}

// StartRedisClusterWith starts one; it ends with t. All slots are served when it returns, and replicas are in step.
func StartRedisClusterWith(t testing.TB, opts ClusterOptions) *Cluster {
	t.Helper()
	c := &Cluster{t: t, opts: opts}
	n := clusterMasters
	if opts.Replicas {
		n *= 2
	}
	buses := make([]int, n)
	for i := range buses {
		buses[i] = reservePort(t)
		node := opts.Redis
		node.Settings = append(slices.Clone(node.Settings),
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(buses[i]), "--cluster-node-timeout", strconv.Itoa(nodeTimeout))
		c.nodes = append(c.nodes, StartRedis(t, node))
	}
	if opts.Arm != nil {
		opts.Arm(c.nodes)
	}
	ctx := t.Context()
	host, port := splitAddr(c.nodes[0].addr)
	for i, node := range c.nodes {
		client := node.Client()
		if i < clusterMasters {
			first, last := i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1
			must(t, "assign slots", client.Do(ctx, "cluster", "addslotsrange", first, last).Err())
		}
		must(t, "set the epoch", client.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if i > 0 {
			must(t, "meet", client.Do(ctx, "cluster", "meet", host, port, buses[0]).Err())
		}
	}
	c.AwaitOK()
	if opts.Replicas {
		c.replicate()
	}
	return c
}

// replicate gives every master its replica.
func (c *Cluster) replicate() {
	c.t.Helper()
	ctx := c.t.Context()
	for i, master := range c.Nodes() {
		id := c.id(master)
		replica := c.nodes[clusterMasters+i].Client()
		Await(c.t, readyTimeout, func() bool {
			return replica.Do(ctx, "cluster", "replicate", id).Err() == nil
		}, "the replica knows its master")
		Await(c.t, readyTimeout, func() bool {
			return strings.Contains(replica.Info(ctx, "replication").Val(), "master_link_status:up")
		}, "the replica is in step")
	}
	for _, n := range c.nodes {
		client := n.Client()
		Await(c.t, readyTimeout, func() bool {
			return strings.Count(client.ClusterNodes(ctx).Val(), "slave") == clusterMasters
		}, "every node knows the replicas")
	}
}

// id is the name of node in the cluster.
func (c *Cluster) id(node *RedisServer) string {
	c.t.Helper()
	id, err := node.Client().ClusterMyID(c.t.Context()).Result()
	must(c.t, "name of a node", err)
	return id
}

// AwaitOK returns once every node that runs serves, and knows every slot served.
func (c *Cluster) AwaitOK() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.child.ended() {
			continue
		}
		client := n.Client()
		Await(c.t, readyTimeout, func() bool {
			info, err := client.ClusterInfo(context.Background()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_size:%d", clusterMasters)) &&
				strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", clusterSlots))
		}, "the cluster serves, seen from "+n.addr)
	}
}

// Addrs are the addresses of the nodes that began as masters.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, n := range c.Nodes() {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

// Nodes are the nodes that began as masters, in the order of their slots.
func (c *Cluster) Nodes() []*RedisServer { return slices.Clone(c.nodes[:clusterMasters]) }

// Client returns a new client of the whole cluster. It closes with the test.
func (c *Cluster) Client() *redis.ClusterClient {
	o := &redis.ClusterOptions{
		Addrs: c.Addrs(), Password: c.opts.Redis.Password, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout,
	}
	client := redis.NewClusterClient(o)
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}
