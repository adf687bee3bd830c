package conformance

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Recorder is a testing.TB whose failures are observed instead of failing the test that runs it. What it does not
// record itself is that test's. It is safe for concurrent use.
type Recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	lines    []string
	cleanups []func()
}

// Observe runs f on a goroutine of its own, as a sub-test would, with what it registered as Cleanup, and tells how it
// went. A panic is a failure.
func Observe(t testing.TB, f func(testing.TB)) *Recorder {
	r := &Recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.clean()
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		f(r)
	}()
	<-done
	return r
}

// Helper does nothing.
func (r *Recorder) Helper() {}

// Fail notes a failure.
func (r *Recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

// FailNow notes a failure and ends the goroutine.
func (r *Recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

// Failed tells whether a failure was noted.
func (r *Recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Logf notes a line.
func (r *Recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// Log notes a line.
func (r *Recorder) Log(args ...any) { r.Logf("%s", fmt.Sprintln(args...)) }

// Errorf notes a line and a failure.
func (r *Recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.Fail()
}

// Error notes a line and a failure.
func (r *Recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprintln(args...)) }

// Fatalf notes a line and a failure, and ends the goroutine.
func (r *Recorder) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.FailNow()
}

// Fatal notes a line and a failure, and ends the goroutine.
func (r *Recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprintln(args...)) }

// Cleanup runs f at the end, the last one first.
func (r *Recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// String is the lines.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// clean runs the cleanups even where one of them ends the goroutine, and those that a cleanup registers.
func (r *Recorder) clean() {
	r.mu.Lock()
	n := len(r.cleanups)
	if n == 0 {
		r.mu.Unlock()
		return
	}
	last := r.cleanups[n-1]
	r.cleanups = r.cleanups[:n-1]
	r.mu.Unlock()
	defer r.clean()
	last()
}
