// Command watchdog runs one shared server as its child and ends it when nobody has used it for a while.
//
//	watchdog DIR LINGER COMMAND [ARG...]
//
// The files in DIR are the protocol between watchdog and users (package testenv):
//
//	start.lock     held exclusively by a user while it looks at or starts the server, and by the watchdog while it
//	               ends the server: so a user finds either a server that stays or none
//	lease          held shared by every user for as long as it needs the server; the kernel drops the lock of a
//	               process that is killed; its modification time is that of the last user's arrival
//	watchdog.lock  held by the watchdog as long as the server runs
//	pid            the process id of the server
//	data           the server's data, removed when it ends
//
// It imports the standard library only: testenv carries this file and builds it where it is needed, because the
// test binary that starts a server is deleted before the server ends.
package main

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// lookEvery is the pause between two looks at the lease.
const lookEvery = 250 * time.Millisecond

func main() {
	closeInherited()
	if len(os.Args) < 4 {
		log.Fatal("usage: watchdog DIR LINGER COMMAND [ARG...]")
	}
	linger, err := time.ParseDuration(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if err := run(os.Args[1], linger, os.Args[3:]); err != nil {
		log.Fatal(err)
	}
}

// closeInherited lets go of the descriptors of the user that started us: a lock or a pipe of it would stay in use for
// as long as the server runs. Those that this process opens itself close on exec; inherited ones do not.
func closeInherited() {
	const most = 256
	for fd := uintptr(3); fd < most; fd++ {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			_ = syscall.Close(int(fd))
		}
	}
}

func run(dir string, linger time.Duration, command []string) error {
	own, err := os.OpenFile(filepath.Join(dir, "watchdog.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer own.Close()
	if !lockSoon(own) {
		return nil // another watchdog owns the directory
	}
	server := exec.Command(command[0], command[1:]...)
	server.Dir, server.Stdout, server.Stderr = dir, os.Stdout, os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1) // one result, never waited for after the end
	go func() { exited <- server.Wait() }()
	pid := strconv.Itoa(server.Process.Pid)
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(pid), 0o600); err != nil {
		_ = server.Process.Kill()
		return err
	}
	return watch(dir, linger, server, exited)
}

// watch returns when the server has ended, by itself or because it was idle for linger.
func watch(dir string, linger time.Duration, server *exec.Cmd, exited <-chan error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for lastUse := time.Now(); ; {
		select {
		case err := <-exited:
			log.Printf("server ended: %v", err)
			return err
		case now := <-tick.C:
			start, used := inUse(dir)
			if used {
				lastUse = now
			}
			if info, err := os.Stat(filepath.Join(dir, "lease")); err == nil && info.ModTime().After(lastUse) {
				lastUse = info.ModTime()
			}
			if now.Sub(lastUse) >= linger {
				return end(dir, server, exited) // start stays locked until this process exits
			}
			_ = start.Close()
		}
	}
}

// inUse reports whether a user holds the lease or is about to take it. When nobody does, start is locked.
func inUse(dir string) (start *os.File, used bool) {
	start, err := os.OpenFile(filepath.Join(dir, "start.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil || !tryLock(start) {
		return start, err == nil
	}
	lease, err := os.OpenFile(filepath.Join(dir, "lease"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return start, false
	}
	defer lease.Close()
	return start, !tryLock(lease)
}

// end kills the server, whose data nobody needs any more.
func end(dir string, server *exec.Cmd, exited <-chan error) error {
	log.Print("idle: ending the server")
	err := server.Process.Kill()
	log.Printf("server ended: %v", <-exited)
	_ = os.RemoveAll(filepath.Join(dir, "data"))
	_ = os.Remove(filepath.Join(dir, "pid"))
	return err
}

// lockSoon tries for a while: users look at the lock by taking it shared for a moment.
func lockSoon(f *os.File) bool {
	for range 100 {
		if tryLock(f) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
