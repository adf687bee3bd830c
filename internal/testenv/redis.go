package testenv

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOptions describe a private Redis. The zero value appends every write to a file with an fsync per second.
type RedisOptions struct {
	AppendOnly      string        // "yes" or "no"; defaults to "yes"
	AppendFsync     string        // "always", "everysec" or "no"; defaults to "everysec"
	MaxMemory       string        // such as "64mb"; defaults to no limit
	MaxMemoryPolicy string        // defaults to "noeviction"
	Password        string        // defaults to none
	ReplicaOf       *RedisServer  // makes the server a replica; with the same Password
	Proxied         bool          // Addr is that of a Proxy in front of the server
	TLS             *Certificates // the server serves TLSAddr too, for clients that show a certificate; nil: not
	Settings        []string      // further arguments of redis-server, such as "--hz", "100"
}

// A RedisServer is a private Redis.
type RedisServer struct {
	*Server
	proxy *Proxy
	addr  string
	tls   string // address for TLS
	opts  RedisOptions
}

// StartRedis starts a Redis that ends with t. A replica has what its master had.
func StartRedis(t testing.TB, opts RedisOptions) *RedisServer {
	t.Helper()
	r := newRedis(t, opts)
	r.run()
	r.await()
	if opts.ReplicaOf != nil {
		c := r.Client()
		Await(t, readyTimeout, func() bool {
			info, err := c.Info(t.Context(), "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up")
		}, "the replica "+r.addr+" is in step")
	}
	if opts.Proxied {
		r.proxy = NewProxy(t, r.addr)
	}
	return r
}

// newRedis plans a server without starting it.
func newRedis(t testing.TB, opts RedisOptions) *RedisServer {
	t.Helper()
	binary, err := redisServer().path(t.Context())
	must(t, "no Redis for this test", err)
	port := reservePort(t)
	dir := tempDir(t)
	r := &RedisServer{addr: loopback(port), opts: opts}
	args := opts.args()
	if c := opts.TLS; c != nil {
		tlsPort := reservePort(t)
		r.tls = loopback(tlsPort)
		args = append(args, "--tls-port", strconv.Itoa(tlsPort), "--tls-cert-file", c.ServerCert, "--tls-key-file", c.ServerKey,
			"--tls-ca-cert-file", c.CAFile, "--tls-auth-clients", "yes")
	}
	r.Server = &Server{
		t: t, name: "redis " + r.addr, dir: dir,
		command: append([]string{binary, "--port", strconv.Itoa(port), "--dir", dir}, args...),
		ready:   func(ctx context.Context) error { return redisPing(ctx, r.addr, opts.Password) },
	}
	return r
}

func (o RedisOptions) args() []string {
	args := []string{
		"--bind", "127.0.0.1", "--save", "",
		"--appendonly", either(o.AppendOnly, "yes"), "--appendfsync", either(o.AppendFsync, "everysec"),
		"--maxmemory", either(o.MaxMemory, "0"), "--maxmemory-policy", either(o.MaxMemoryPolicy, "noeviction"),
		"--repl-diskless-sync-delay", "0",
	}
	if o.Password != "" {
		args = append(args, "--requirepass", o.Password, "--masterauth", o.Password)
	}
	if o.ReplicaOf != nil {
		host, port := splitAddr(o.ReplicaOf.addr)
		args = append(args, "--replicaof", host+" "+port)
	}
	return append(args, o.Settings...)
}

// Addr is what clients under test dial: the proxy's address where there is one.
func (r *RedisServer) Addr() string {
	if r.proxy != nil {
		return r.proxy.Addr()
	}
	return r.addr
}

// TLSAddr is where the server speaks TLS, empty without RedisOptions.TLS.
func (r *RedisServer) TLSAddr() string { return r.tls }

// DirectAddr is the server's own address.
func (r *RedisServer) DirectAddr() string { return r.addr }

// Proxy is what RedisOptions.Proxied put in front of the server, or nil.
func (r *RedisServer) Proxy() *Proxy { return r.proxy }

// Dir is the directory of the server's data.
func (r *RedisServer) Dir() string { return filepath.Clean(r.dir) }

// answerTimeout is how long a server may take to answer a client of the tests, on a machine that stands still at times.
const answerTimeout = 10 * time.Second

// Client returns a new client for looking at the server past the proxy. It closes with the test and does not retry.
func (r *RedisServer) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{
		Addr: r.addr, Password: r.opts.Password, MaxRetries: -1, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout,
	})
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// RedisCLI is the path of redis-cli.
func RedisCLI(t testing.TB) string {
	t.Helper()
	path, err := redisCLI().path(t.Context())
	must(t, "no redis-cli for this test", err)
	return path
}

func either(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
