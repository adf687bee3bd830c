package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
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
