package rediskit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/settings"
)

// reloadEvery is after how long a client looks at the cluster again, while it is used; refusals that name another node
// have it looked at once.
const reloadEvery = time.Second

// Cluster names nodes of a Redis Cluster.
type Cluster struct {
	Addrs []string // host:port; one that answers is enough, the others are found
}

// used tells whether c is set.
func (c Cluster) used() bool { return len(c.Addrs) > 0 }

// validate returns an error that names the first setting that is not acceptable.
func (c Cluster) validate() error {
	for _, addr := range c.Addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("setting \"cluster.addrs\": %q is not host:port", addr)
		}
	}
	return nil
}

// Client is what the clients of a server and of a cluster have in common.
type Client interface {
	redis.UniversalClient
	DoRaw(ctx context.Context, args ...any) *redis.RawCmd
}

// Clustered tells whether the settings name a Redis Cluster.
func (c Config) Clustered() bool { return c.Cluster.used() }

// Ready returns c with what its clients, writers and sessions share: which node of a cluster has which slot.
func (c Config) Ready() Config {
	if c.Clustered() && c.shared == nil {
		c.shared = newTopology(c)
	}
	return c
}

// clusterClient returns a client for role that sends every command to where its key is.
func (c Config) clusterClient(role Role) *redis.ClusterClient {
	o := c.options(role)
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:    slices.Clone(c.Cluster.Addrs), // to which the library appends
		Username: o.Username, Password: o.Password, Dialer: o.Dialer,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, PoolSize: o.PoolSize, Protocol: o.Protocol,
		DisableIdentity: true, DisableRoutingPolicies: true, ClusterStateReloadInterval: reloadEvery,
		MinRetryBackoff: 20 * time.Millisecond, MaxRetryBackoff: 200 * time.Millisecond,
	})
}

// EachMaster calls do for the server of client, or for each master of its cluster, and joins the errors. The calls may
// run side by side.
func EachMaster(ctx context.Context, client Client, do func(context.Context, *redis.Client) error) error {
	switch c := client.(type) {
	case *redis.Client:
		return do(ctx, c)
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			if err := do(ctx, node); err != nil {
				return fmt.Errorf("node %s: %w", node.Options().Addr, err)
			}
			return nil
		})
	default:
		return fmt.Errorf("rediskit: no masters of a %T", client)
	}
}

// notClustered is in the refusal of a server that is no cluster.
const notClustered = "cluster support disabled"

// errNotClustered is the remedy for a server that is no cluster.
var errNotClustered = errors.New(`the server is not a node of a Redis Cluster: name it in the setting "addr"`)

// errClustered is the remedy for a node of a cluster that is used as a server of its own.
var errClustered = errors.New(`the server is a node of a Redis Cluster: name it in the setting "cluster.addrs" instead of "addr"`)

// CheckMode refuses a node of a cluster, by the reply to INFO, where the settings name a server of its own.
func (c Config) CheckMode(adapter, info string) error {
	if c.Clustered() || !strings.Contains(info, "redis_mode:cluster") {
		return nil
	}
	return &settings.Blamed{Setting: "addr", Err: fmt.Errorf("%s: connect to addr %q: %w", adapter, c.where(), errClustered)}
}
