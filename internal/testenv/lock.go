package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A fileLock is an advisory lock between processes. The kernel drops it when the process ends, however it ends.
// Two locks of one file exclude each other within a process as well.
type fileLock struct{ f *os.File }

// lockFile takes the lock of path and waits for it until ctx is done. how is syscall.LOCK_EX or LOCK_SH.
func lockFile(ctx context.Context, path string, how int) (*fileLock, error) {
	l, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := pollErr(ctx, func() error { return l.try(how) }); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), l.f.Close())
	}
	return l, nil
}

// openLock is the lock of path, which nobody holds by it yet.
func openLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &fileLock{f: f}, nil
}

// try takes the lock unless others hold it.
func (l *fileLock) try(how int) error { return syscall.Flock(int(l.f.Fd()), how|syscall.LOCK_NB) }

// isLocked reports whether somebody holds path exclusively.
func isLocked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// unlock may be called twice.
func (l *fileLock) unlock() { _ = l.f.Close() }
