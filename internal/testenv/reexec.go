package testenv

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// envHelper tells a re-executed test binary which helper to be.
const envHelper = "DUALSTREAM_TESTENV_HELPER"

// Main is the TestMain of a package whose tests use [Reexec]: it runs the tests, or, in a process that Reexec
// started, the helper of that name.
//
//	func TestMain(m *testing.M) {
//		testenv.Main(m, map[string]func(){"publisher": publishForever})
//	}
func Main(m *testing.M, helpers map[string]func()) {
	RunHelper(helpers)
	os.Exit(m.Run())
}

// RunHelper is [Main] without the tests, for a TestMain of its own: in a process that Reexec started, it runs the
// helper and ends the process with 0; in others it does nothing.
func RunHelper(helpers map[string]func()) {
	name := os.Getenv(envHelper)
	if name == "" {
		return
	}
	helper, ok := helpers[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "testenv: no helper %q was given to testenv.Main\n", name)
		os.Exit(2)
	}
	helper()
	os.Exit(0)
}

// A Process is a helper in a process of its own, to be killed or frozen as real processes are. It ends with the
// test, or with the test's process. What it writes to standard output is kept as lines; standard error is shared.
type Process struct {
	t      testing.TB
	name   string
	child  *child
	reader sync.WaitGroup

	mu    sync.Mutex // guards lines
	lines []string
}

// Reexec starts the test binary again as the helper of that name, see [Main], with env ("NAME=value") added to the
// environment.
func Reexec(t testing.TB, name string, env ...string) *Process {
	t.Helper()
	binary, err := os.Executable()
	must(t, "find the test binary", err)
	return spawn(t, name, []string{binary}, append(env, envHelper+"="+name))
}

// spawn starts command with env added to the environment.
func spawn(t testing.TB, name string, command, env []string) *Process {
	t.Helper()
	stdout, write, err := os.Pipe()
	must(t, "make a pipe", err)
	c, err := startChild(command, "", slices.Concat(os.Environ(), env), write, os.Stderr)
	_ = write.Close()
	must(t, "start "+name, err)
	p := &Process{t: t, name: name, child: c}
	p.reader.Go(func() { p.read(stdout) })
	t.Cleanup(p.Kill)
	return p
}

func (p *Process) read(stdout *os.File) {
	defer func() { _ = stdout.Close() }()
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		p.mu.Unlock()
	}
}

// Pid is the process id of the helper.
func (p *Process) Pid() int { return p.child.pid }

// Lines returns what the helper has written so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// AwaitLine returns the first line that starts with prefix, without the prefix, and fails the test when there is
// none within timeout.
func (p *Process) AwaitLine(timeout time.Duration, prefix string) string {
	p.t.Helper()
	var rest string
	Await(p.t, timeout, func() bool {
		for _, line := range p.Lines() {
			if after, ok := strings.CutPrefix(line, prefix); ok {
				rest = after
				return true
			}
		}
		return false
	}, fmt.Sprintf("helper %s writes a line %q…", p.name, prefix))
	return rest
}

// Kill ends the helper as kill -9 does; its last lines have been read when Kill returns.
func (p *Process) Kill() {
	p.child.kill()
	p.reader.Wait()
}

// Terminate sends SIGTERM; Wait tells how it ended.
func (p *Process) Terminate() { p.child.signal(syscall.SIGTERM) }

// Freeze stops the helper where it is (SIGSTOP). It runs no more when Freeze returns.
func (p *Process) Freeze() { p.child.freeze() }

// Thaw lets a frozen helper go on.
func (p *Process) Thaw() { p.child.signal(syscall.SIGCONT) }

// Wait returns when the helper has ended by itself, with an error unless its exit code was 0. It fails the test when
// the helper still runs after timeout.
func (p *Process) Wait(timeout time.Duration) error {
	p.t.Helper()
	Await(p.t, timeout, p.child.ended, "helper "+p.name+" ends")
	p.reader.Wait()
	return p.child.err
}
