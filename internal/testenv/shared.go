package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	envDir    = "DUALSTREAM_TESTENV_DIR"
	envLinger = "DUALSTREAM_TESTENV_LINGER"

	defaultLinger = 60 * time.Second
	// pingPatience is how long a shared server may stay silent, on a busy machine, before it is replaced.
	pingPatience = 30 * time.Second
	// startTimeout bounds the start of a server with what it has to install, attemptTimeout one attempt.
	startTimeout   = 10 * time.Minute
	attemptTimeout = 90 * time.Second
)

// A service is a kind of shared server. Package watchdog documents the files in its directory.
type service struct {
	kind string // also the directory's name: change it when the server's settings change
	env  string // names an external server that is used instead

	// prepare makes the data directory and returns the command of the server and its addresses.
	prepare func(ctx context.Context, dir string) (command, addrs []string, err error)
	// ping returns nil once the server at addrs serves everything tests need.
	ping func(ctx context.Context, addrs []string) error
}

// acquire returns the addresses of a server that answers and stays until release is called or the process ends.
func (s service) acquire(ctx context.Context) (addrs []string, release func(), err error) {
	if external := os.Getenv(s.env); external != "" {
		addrs = strings.Split(external, ",")
		if err := s.ping(ctx, addrs); err != nil {
			return nil, nil, fmt.Errorf("%s=%s does not answer (unset it to have a server started): %w", s.env, external, err)
		}
		return addrs, func() {}, nil
	}
	dir := s.dir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	start, err := lockFile(ctx, filepath.Join(dir, "start.lock"), syscall.LOCK_EX)
	if err != nil {
		return nil, nil, err
	}
	defer start.unlock()
	lease, err := lockFile(ctx, filepath.Join(dir, "lease"), syscall.LOCK_SH)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	_ = os.Chtimes(lease.f.Name(), now, now)
	if addrs, ok := s.running(ctx, dir); ok {
		return addrs, lease.unlock, nil
	}
	addrs, err = s.start(ctx, dir)
	if err != nil {
		lease.unlock()
		return nil, nil, err
	}
	return addrs, lease.unlock, nil
}

// dir is where the state of the service is kept.
func (s service) dir() string { return filepath.Join(stateDir(), s.kind) }

// stateDir is what the tests of all processes of this user share.
func stateDir() string {
	if root := os.Getenv(envDir); root != "" {
		return root
	}
	return filepath.Join(os.TempDir(), "dualstream-testenv-"+strconv.Itoa(os.Getuid()))
}

// running returns the addresses of the server in dir, if it answers.
func (s service) running(ctx context.Context, dir string) ([]string, bool) {
	data, err := os.ReadFile(filepath.Join(dir, "addrs"))
	if err != nil {
		return nil, false
	}
	addrs := strings.Split(string(data), ",")
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	ok := false
	_ = poll(ctx, func() bool {
		if !s.supervised(dir) {
			return true
		}
		ok = s.ping(ctx, addrs) == nil
		return ok
	})
	return addrs, ok
}

// supervised reports whether a watchdog and its server run in dir.
func (s service) supervised(dir string) bool { return isLocked(filepath.Join(dir, "watchdog.lock")) }

// start replaces whatever is left in dir by a new server. The caller holds start.lock.
func (s service) start(ctx context.Context, dir string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var errs []error
	for range 3 { // another process can take the port between its choice and its use
		addrs, err := s.startOnce(ctx, dir)
		if err == nil {
			return addrs, os.WriteFile(filepath.Join(dir, "addrs"), []byte(strings.Join(addrs, ",")), 0o600)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start a shared %s: %w", s.kind, errors.Join(errs...))
}

func (s service) startOnce(ctx context.Context, dir string) ([]string, error) {
	if err := s.clear(ctx, dir); err != nil {
		return nil, err
	}
	command, addrs, err := s.prepare(ctx, dir)
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "log")
	if err := detachWatchdog(ctx, dir, log, linger(), command); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err = pollErr(ctx, func() error {
		if exists(filepath.Join(dir, "pid")) && !s.supervised(dir) {
			return nil // it started and ended: reported below
		}
		return s.ping(ctx, addrs)
	})
	if err == nil && !s.supervised(dir) {
		err = errors.New("it ended")
	}
	if err != nil {
		return nil, fmt.Errorf("%s did not start: %w; end of its log:\n%s", s.kind, err, tail(log))
	}
	return addrs, nil
}

// clear ends the server in dir and removes its data.
func (s service) clear(ctx context.Context, dir string) error {
	err := pollErr(ctx, func() error {
		if pid, ok := serverPid(dir); ok {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if s.supervised(dir) {
			return errors.New("the watchdog of the old server does not end")
		}
		return nil
	})
	if err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(dir, "pid"))
	_ = os.Remove(filepath.Join(dir, "addrs"))
	_ = os.Remove(filepath.Join(dir, "log"))
	return os.RemoveAll(filepath.Join(dir, "data"))
}

func linger() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(envLinger)); err == nil {
		return d
	}
	return defaultLinger
}
