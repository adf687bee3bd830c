package testenv

import (
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// slotOf is the slot of key.
func (c *Cluster) slotOf(key string) int {
	c.t.Helper()
	slot, err := c.nodes[0].Client().ClusterKeySlot(c.t.Context(), key).Result()
	must(c.t, "slot of a key", err)
	return int(slot)
}

// Master is the node that has the slot of key, as the nodes that run say.
func (c *Cluster) Master(key string) *RedisServer {
	c.t.Helper()
	return c.master(c.slotOf(key))
}

func (c *Cluster) master(slot int) *RedisServer {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.child.ended() {
			continue
		}
		port := masterPort(c.t.Context(), n.Client(), slot)
		for _, node := range c.nodes {
			if port != 0 && node.addr == loopback(port) {
				return node
			}
		}
	}
	c.t.Fatalf("testenv: nobody has slot %d", slot)
	return nil
}

// masterPort is the port of the node that has slot, as the node of client says; 0 where it knows of none.
func masterPort(ctx context.Context, client *redis.Client, slot int) int {
	shards, err := client.ClusterShards(ctx).Result()
	if err != nil {
		return 0
	}
	for _, shard := range shards {
		if !slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool { return int(r.Start) <= slot && slot <= int(r.End) }) {
			continue
		}
		for _, node := range shard.Nodes {
			if node.Role == "master" {
				return int(node.Port)
			}
		}
	}
	return 0
}

// Other is a node that began as a master and is not the master of key.
func (c *Cluster) Other(key string) *RedisServer {
	c.t.Helper()
	has := c.Master(key)
	for _, n := range c.Nodes() {
		if n != has {
			return n
		}
	}
	return nil
}

// Move moves the slot of key, with its keys one after the other, from its master to another one, as redis-cli does.
// During, which may be nil, is called while the slot is on its way: half of its keys have moved.
func (c *Cluster) Move(key string, to *RedisServer, during func()) {
	c.t.Helper()
	ctx, slot := context.Background(), c.slotOf(key)
	from := c.master(slot)
	source, target := from.Client(), to.Client()
	sourceID, targetID := c.id(from), c.id(to)
	must(c.t, "import a slot", target.Do(ctx, "cluster", "setslot", slot, "importing", sourceID).Err())
	must(c.t, "migrate a slot", source.Do(ctx, "cluster", "setslot", slot, "migrating", targetID).Err())
	keys, err := source.ClusterGetKeysInSlot(ctx, slot, 1<<20).Result()
	must(c.t, "keys of a slot", err)
	host, port := splitAddr(to.addr)
	migrate := func(keys []string) {
		args := []any{"migrate", host, port, "", 0, 10_000}
		if password := c.opts.Redis.Password; password != "" {
			args = append(args, "auth", password)
		}
		args = append(args, "keys")
		for _, k := range keys {
			args = append(args, k)
		}
		if len(keys) > 0 {
			must(c.t, "migrate keys", source.Do(ctx, args...).Err())
		}
	}
	half := (len(keys) + 1) / 2
	migrate(keys[:half])
	if during != nil {
		during()
	}
	migrate(keys[half:])
	for keys, err = source.ClusterGetKeysInSlot(ctx, slot, 1<<20).Result(); len(keys) > 0; keys, err = source.ClusterGetKeysInSlot(ctx, slot, 1<<20).Result() {
		must(c.t, "keys of a slot", err)
		migrate(keys) // made meanwhile
	}
	must(c.t, "give a slot", target.Do(ctx, "cluster", "setslot", slot, "node", targetID).Err())
	must(c.t, "give a slot", source.Do(ctx, "cluster", "setslot", slot, "node", targetID).Err())
}

// Failover kills the master of key and returns once its replica serves. The killed node stays dead until its Restart,
// which makes it the replica.
func (c *Cluster) Failover(key string) *RedisServer {
	c.t.Helper()
	slot := c.slotOf(key)
	dead := c.master(slot)
	dead.Kill()
	c.AwaitFailover(slot, dead)
	return dead
}

// AwaitFailover returns once another node than dead, which the test killed or froze, has slot, and all slots are served.
func (c *Cluster) AwaitFailover(slot int, dead *RedisServer) {
	c.t.Helper()
	for _, n := range c.nodes {
		if n == dead {
			continue
		}
		client := n.Client()
		Await(c.t, failoverTimeout, func() bool {
			port := masterPort(context.Background(), client, slot)
			return port != 0 && loopback(port) != dead.addr &&
				strings.Contains(client.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
		}, "the replica of "+dead.addr+" serves, seen from "+n.addr)
	}
}
