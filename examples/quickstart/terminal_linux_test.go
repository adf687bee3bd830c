package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/dualstream/dualstream/internal/testenv"
)

// terminal opens a pseudo-terminal: what a program writes to tty is read from screen.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	var locked, number int32
	ioctl(t, screen, syscall.TIOCSPTLCK, &locked)
	ioctl(t, screen, syscall.TIOCGPTN, &number)
	if tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return screen, tty
}

func ioctl(t *testing.T, f *os.File, request uintptr, value *int32) {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(value)))
	})
	if err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
}

func TestATerminalShowsHowFarTheRunIsInOneLine(t *testing.T) {
	screen, tty := terminal(t)
	var seen lines
	var parts sync.WaitGroup
	parts.Go(func() { _, _ = io.Copy(&seen, screen) }) // ends with an error once nobody has the terminal open
	l := newLedger(200)
	for i := range 3 {
		l.storing(i, true)
	}
	l.processing(l.events[0].ID)
	ctx, cancel := context.WithCancel(t.Context())
	parts.Go(func() { progress(ctx, l, tty); _ = tty.Close() })
	const line, wiped = "\r\x1b[Kstored 3/200, received 0, processed 1", "\r\x1b[K"
	testenv.Await(t, 10*time.Second, func() bool { return strings.Count(seen.String(), line) > 1 }, "the line is written again")
	cancel()
	parts.Wait()
	if text := seen.String(); strings.Contains(text, "\n") || !strings.HasSuffix(text, wiped) {
		t.Errorf("got %q, want one line, which is wiped at the end", text)
	}
}

func TestAFileShowsNoProgress(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	progress(t.Context(), newLedger(1), file) // returns at once
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("got %v, %v, want an empty file", info, err)
	}
}
