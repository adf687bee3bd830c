// Package reexec starts the binary of a test once more as another process, to be killed as real processes are.
package reexec

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	envHelper = "REEXEC_HELPER" // names what the other process is
	patience  = time.Minute
)

// Main is the TestMain of a package: it runs the tests, or in a process of [Start] the helper of that name.
func Main(m *testing.M, helpers map[string]func()) {
	if run := helpers[os.Getenv(envHelper)]; run != nil {
		go func() { // ends with the process, at the latest when its parent has ended
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		run()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Process runs a helper. It ends with the test.
type Process struct {
	t       testing.TB
	command *exec.Cmd
	stdin   io.Closer
	reading sync.WaitGroup
	kill    sync.Once

	mu    sync.Mutex // guards lines
	lines []string
}

// Start runs the helper of that name, with env ("NAME=value") added to the environment.
func Start(t testing.TB, helper string, env ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, command: exec.Command(self)}
	p.command.Env = append(append(os.Environ(), env...), envHelper+"="+helper)
	p.command.Stderr = os.Stderr
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.reading.Go(func() {
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
	})
	t.Cleanup(p.Kill)
	return p
}

// Lines is what the helper has printed so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// AwaitLine returns when the helper has printed a line that begins so.
func (p *Process) AwaitLine(prefix string) {
	p.t.Helper()
	Await(p.t, prefix, func() bool {
		return slices.ContainsFunc(p.Lines(), func(line string) bool { return strings.HasPrefix(line, prefix) })
	})
}

// Signal sends a signal, such as those that stop a process where it is and let it go on.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends the helper as kill -9 does. Its last lines have been read when Kill returns.
func (p *Process) Kill() {
	p.kill.Do(func() {
		_ = p.command.Process.Kill() // it has ended, or does now
		p.reading.Wait()
		_, _ = p.stdin.Close(), p.command.Wait() // says that it was killed
	})
}

// Await returns when done does not say false any more, and fails the test where that takes too long.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for !done() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
