package rediskit

import (
	"bytes"
	"context"
	"net"
)

// address is where a Session in a cluster connects to. One that is nil is that of no cluster.
type address struct {
	c    Config
	t    *topology
	slot uint16
	addr string // of the connection
	ask  bool   // addr does not have the slot yet: every command is announced
	lost bool   // look at the cluster before the next connection
}

// SessionAt is NewSession to where key is. Commands may read from its slot alone.
func (c Config) SessionAt(key string) *Session {
	if !c.Clustered() {
		return c.NewSession()
	}
	c = c.Ready()
	a := &address{c: c, t: c.shared, slot: Slot(key)}
	return &Session{dial: a.dial, at: a}
}

func (a *address) dial(ctx context.Context) (net.Conn, error) {
	if a.lost {
		if err := a.t.look(ctx); err != nil {
			return nil, err
		}
		a.lost = false
	}
	if !a.ask {
		addr, err := a.t.master(ctx, a.slot)
		if err != nil {
			return nil, err
		}
		a.addr = addr
	}
	return a.c.dialTo(ctx, a.addr)
}

// forget has the next connection look for the master of the slot.
func (a *address) forget() {
	if a != nil {
		a.lost, a.ask = true, false
	}
}

// asks tells whether commands are to be announced.
func (a *address) asks() bool { return a != nil && a.ask }

// follow tells whether reply names another node, to which the next connection is made.
func (a *address) follow(reply []byte) bool {
	if a == nil || len(reply) == 0 || reply[0] != '-' {
		return false
	}
	addr, slot, ask, ok := redirect(string(bytes.TrimSpace(reply[1:])), a.addr)
	if !ok {
		return false
	}
	if a.ask = ask; ask {
		a.addr = addr
	} else {
		a.t.moved(slot, addr)
	}
	return true
}
