package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Ports come from below the ephemeral range (32768 on Linux, 49152 on macOS). A server that is down keeps its port
// for the restart: in the ephemeral range, a client that redials it could be given that port as its own and
// connect to itself.
const (
	firstPort = 18000
	lastPort  = 31999
)

// freePort returns a loopback port on which nobody listens. Another process may take it before it is used.
func freePort() (int, error) {
	var last error
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			last = err
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d: %w", firstPort, lastPort, last)
}

// reservePorts returns n ports that no other test of any process is given until t ends, so that a server finds its port
// again after it was down.
func reservePorts(t testing.TB, n int) []int {
	t.Helper()
	dir := filepath.Join(stateDir(), "ports")
	must(t, "reserve ports", os.MkdirAll(dir, 0o700))
	ports := make([]int, 0, n)
	for len(ports) < n {
		port, err := freePort()
		must(t, "find a port", err)
		lock, free, err := reserve(filepath.Join(dir, strconv.Itoa(port)))
		must(t, "reserve a port", err)
		if !free {
			continue
		}
		t.Cleanup(lock.unlock)
		ports = append(ports, port)
	}
	return ports
}

func reservePort(t testing.TB) int {
	t.Helper()
	return reservePorts(t, 1)[0]
}

// reserve takes the lock of path unless somebody holds it.
func reserve(path string) (lock *fileLock, free bool, err error) {
	lock, err = openLock(path)
	if err != nil {
		return nil, false, err
	}
	if lock.try(syscall.LOCK_EX) != nil {
		return nil, false, lock.f.Close()
	}
	return lock, true, nil
}

// freePorts returns n different ports.
func freePorts(n int) ([]int, error) {
	seen := make(map[int]bool, n)
	ports := make([]int, 0, n)
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if seen[port] {
			continue
		}
		seen[port] = true
		ports = append(ports, port)
	}
	return ports, nil
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// splitAddr is net.SplitHostPort for addresses made by loopback.
func splitAddr(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic("testenv: not an address: " + addr)
	}
	return host, port
}
