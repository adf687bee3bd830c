package testenv

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
)

// A Status tells of one shared server.
type Status struct {
	Kind  string
	Addrs []string // empty while it does not run
}

// SharedStatus reports on the shared servers without starting or keeping them. External ones are not shown.
func SharedStatus(ctx context.Context) []Status {
	var all []Status
	for _, s := range []service{sharedRedis(), sharedKafka()} {
		status := Status{Kind: s.kind}
		if addrs, ok := s.running(ctx, s.dir()); ok {
			status.Addrs = addrs
		}
		all = append(all, status)
	}
	return all
}

// StopShared ends the shared servers now, whoever uses them.
func StopShared(ctx context.Context) error {
	var errs []error
	for _, s := range []service{sharedRedis(), sharedKafka()} {
		errs = append(errs, s.stop(ctx))
	}
	return errors.Join(errs...)
}

func (s service) stop(ctx context.Context) error {
	dir := s.dir()
	if !exists(dir) {
		return nil
	}
	start, err := lockFile(ctx, filepath.Join(dir, "start.lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer start.unlock()
	return s.clear(ctx, dir)
}
