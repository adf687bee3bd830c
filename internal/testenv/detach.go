package testenv

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed watchdog/main.go
var watchdogSource []byte

// detachWatchdog starts command under a watchdog that outlives this process. It has its own session, so that a
// signal to the terminal's process group does not reach it, and is no child of ours, so that it leaves no zombie.
func detachWatchdog(ctx context.Context, dir, log string, linger time.Duration, command []string) error {
	watchdog, err := buildWatchdog(ctx)
	if err != nil {
		return err
	}
	const script = `log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &`
	args := append([]string{"-c", script, "sh", log, watchdog, dir, linger.String()}, command...)
	sh := exec.CommandContext(ctx, "sh", args...)
	sh.Dir = dir
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if out, err := sh.CombinedOutput(); err != nil {
		return fmt.Errorf("start the watchdog: %w: %s", err, out)
	}
	return nil
}

// buildWatchdog returns the path of the watchdog's binary, built once per version of its source and user.
func buildWatchdog(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(watchdogSource)
	binary := filepath.Join(cache, "watchdog-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	tmp, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.WriteFile(filepath.Join(tmp, "main.go"), watchdogSource, 0o600); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", "watchdog", "main.go")
	build.Dir = tmp
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=", "GOARCH=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the watchdog of the shared servers (is the go command in PATH?): %w: %s", err, out)
	}
	return binary, os.Rename(filepath.Join(tmp, "watchdog"), binary)
}

// cacheDir is where downloads and binaries of the test environment stay between runs.
func cacheDir() (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		return "", errors.Join(errors.New("no cache directory: set HOME or XDG_CACHE_HOME"), err)
	}
	dir := filepath.Join(root, "dualstream")
	return dir, os.MkdirAll(dir, 0o755)
}

// serverPid reads the process id of the server in dir and makes sure that the process is still that server:
// the number may have gone to another one.
func serverPid(dir string) (int, bool) {
	data, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, false
	}
	args, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		args, err = exec.Command("ps", "-o", "args=", "-ww", "-p", strconv.Itoa(pid)).Output()
	}
	return pid, err == nil && strings.Contains(string(args), dir)
}

// tail returns the end of the file at path for an error text.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}
