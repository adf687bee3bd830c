package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// readyTimeout bounds the start of a private server, on a busy machine.
const readyTimeout = 90 * time.Second

// A Server is a private server process of one test. Its methods fail the test when they cannot do their work, and
// are called from the test's goroutine, one at a time.
type Server struct {
	t       testing.TB
	name    string
	command []string
	dir     string // holds data and log; survives Kill and Stop
	ready   func(context.Context) error
	child   *child
}

// run starts the process for the first time and sees to its end. ready reports whether it serves.
func (s *Server) run() {
	s.t.Helper()
	s.t.Cleanup(func() {
		if s.child != nil {
			s.child.kill()
		}
		if s.t.Failed() {
			s.t.Logf("end of the log of %s:\n%s", s.name, tail(s.logFile()))
		}
	})
	s.spawn()
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// spawn starts the process and does not wait until it serves.
func (s *Server) spawn() {
	s.t.Helper()
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatalf("testenv: %v", err)
	}
	defer func() { _ = log.Close() }()
	s.child, err = startChild(s.command, s.dir, nil, log, log)
	if err != nil {
		s.t.Fatalf("testenv: %v", err)
	}
}

// await returns once the process serves.
func (s *Server) await() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	err := pollErr(ctx, func() error {
		if s.child.ended() {
			return nil // reported below
		}
		return s.ready(ctx)
	})
	if s.child.ended() {
		err = errors.Join(errors.New("it ended"), s.child.err)
	}
	if err != nil {
		s.t.Fatalf("testenv: %s does not serve: %v; end of its log:\n%s", s.name, err, tail(s.logFile()))
	}
}

// tempDir is a directory for a server, which ends with t even where the server had a child that writes on for a moment,
// as one that rewrites a log does.
func tempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		must(t, "remove the data of a server", pollErr(ctx, func() error { return os.RemoveAll(dir) }))
	})
	return dir
}

// Kill ends the process as kill -9 does, and returns when it is gone.
func (s *Server) Kill() { s.child.kill() }

// Stop ends the process in order (SIGTERM), and returns when it is gone.
func (s *Server) Stop() { s.child.terminate() }

// Restart starts the process again, after Kill or Stop, with its data and on its ports. It returns when it serves.
func (s *Server) Restart() {
	s.t.Helper()
	s.child.kill()
	s.spawn()
	s.await()
}

// Freeze stops the process where it is (SIGSTOP): connections stay open and nothing answers. It runs no more when Freeze
// returns.
func (s *Server) Freeze() { s.child.freeze() }

// Thaw lets a frozen process go on.
func (s *Server) Thaw() { s.child.signal(syscall.SIGCONT) }

// Log returns the end of what the process wrote, at most 2,000 bytes.
func (s *Server) Log() string { return tail(s.logFile()) }

// must fails the test with what was tried.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("testenv: %v", fmt.Errorf("%s: %w", what, err))
	}
}
