package rediskit

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"sync"
	"time"
)

const sessionBuffer = 64 << 10

// Session is a connection for one command at a time, such as a read that blocks on the server. What fails otherwise
// than by an error reply ends the connection, and so does the refusal of a server that became a replica; the next
// command makes it again. One goroutine calls Do; any may close.
//
// In a cluster it is to the master of one slot, which it follows.
type Session struct {
	dial func(context.Context) (net.Conn, error)
	in   *bufio.Reader // of conn; owned by Do
	raw  []byte        // owned by Do
	at   *address      // owned by Do; nil: not in a cluster

	mu     sync.Mutex
	conn   net.Conn // nil while there is none
	closed bool
}

// NewSession returns a Session that connects when it is first used. The caller closes it.
func (c Config) NewSession() *Session {
	return &Session{dial: func(ctx context.Context) (net.Conn, error) { return c.Dial(ctx) }}
}

// Do sends one command and returns its reply, which is the caller's until the next call. An error reply is a
// ServerError. After Close it is ErrStopped.
func (s *Session) Do(ctx context.Context, wire []byte, timeout time.Duration) ([]byte, error) {
	for round := 1; ; round++ {
		conn, err := s.connect(ctx)
		if err != nil {
			s.at.forget()
			return nil, err
		}
		if err := s.exchange(conn, wire, timeout); err != nil {
			s.at.forget()
			if s.drop(conn) {
				return nil, ErrStopped
			}
			return nil, err
		}
		elsewhere := s.at.follow(s.raw)
		if elsewhere || bytes.HasPrefix(s.raw, readOnly) {
			s.drop(conn)
		}
		if elsewhere && round < mostRounds && (round == 1 || pause(ctx, time.Duration(round)*lookApart)) {
			continue
		}
		r := NewReply(s.raw)
		return s.raw, r.Err()
	}
}

// drop ends the connection and tells whether s was closed.
func (s *Session) drop(conn net.Conn) (closed bool) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
	return s.closed
}

// connect is the connection, made where there is none.
func (s *Session) connect(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	conn, closed := s.conn, s.closed
	s.mu.Unlock()
	if closed {
		return nil, ErrStopped
	}
	if conn != nil {
		return conn, nil
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, ErrStopped
	}
	s.conn = conn
	s.in = bufio.NewReaderSize(conn, sessionBuffer)
	return conn, nil
}

func (s *Session) exchange(conn net.Conn, wire []byte, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if s.at.asks() {
		wire = append(bytes.Clone(asking), wire...)
	}
	if _, err := conn.Write(wire); err != nil {
		return err
	}
	if s.at.asks() {
		if _, err := ReadReply(s.in, nil); err != nil {
			return err
		}
	}
	if cap(s.raw) > 4*keptBuffer {
		s.raw = nil
	}
	var err error
	s.raw, err = ReadReply(s.in, s.raw[:0])
	return err
}

// Close ends the connection; a command that waits fails.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
}
