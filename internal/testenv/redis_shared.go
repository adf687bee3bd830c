package testenv

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const envRedis = "DUALSTREAM_TEST_REDIS"

// pingTimeout bounds one look at a server.
const pingTimeout = 5 * time.Second

// Redis returns the address of the shared Redis, which stays at least until t ends. It appends to a file (fsync
// every second), evicts nothing and has no password.
func Redis(t testing.TB) string {
	t.Helper()
	addr, release, err := SharedRedis(t.Context())
	if err != nil {
		t.Fatalf("testenv: no Redis for this test: %v", err)
	}
	t.Cleanup(release)
	return addr
}

// SharedRedis is [Redis] for programs that are not tests. release lets go of the server.
func SharedRedis(ctx context.Context) (addr string, release func(), err error) {
	addrs, release, err := sharedRedis().acquire(ctx)
	if err != nil {
		return "", nil, err
	}
	return addrs[0], release, nil
}

func sharedRedis() service {
	return service{kind: "redis-1", env: envRedis, prepare: prepareRedis, ping: func(ctx context.Context, addrs []string) error {
		return redisPing(ctx, addrs[0], "")
	}}
}

func prepareRedis(ctx context.Context, dir string) (command, addrs []string, err error) {
	binary, err := redisServer().path(ctx)
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	command = []string{
		binary, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "yes",
		"--appendfsync", "everysec", "--dir", data,
		"--set-proc-title", "no", // keeps dir in the command line
	}
	return command, []string{loopback(port)}, nil
}

// redisPing returns nil when the server at addr has loaded its data and answers.
func redisPing(ctx context.Context, addr, password string) error {
	if password != "" {
		return redisDo(ctx, addr, "AUTH "+password, "PING")
	}
	return redisDo(ctx, addr, "PING")
}

// redisDo sends inline commands, each of which must be answered by a line that is no error.
func redisDo(ctx context.Context, addr string, commands ...string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	r := bufio.NewReader(conn)
	for _, command := range commands {
		if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
			return err
		}
		reply, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(reply, "-") {
			return errors.New(strings.TrimSpace(reply[1:]))
		}
	}
	return nil
}
