package sockbus_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dualstream/dualstream/examples/customadapter/reexec"
	"github.com/dualstream/dualstream/examples/customadapter/sockbus"
	"github.com/dualstream/dualstream/realtime"
	"github.com/dualstream/dualstream/realtime/realtimetest"
)

const envDir = "SOCKBUS_DIR"

// newDir is a new directory. Its path is relative and so leaves room for the name of a socket.
func newDir(t *testing.T) string {
	t.Helper()
	t.Chdir(t.TempDir())
	return "bus"
}

func open(t testing.TB, dir string) *sockbus.Bus {
	t.Helper()
	b, err := sockbus.Open(sockbus.Settings{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMain(m *testing.M) { reexec.Main(m, map[string]func(){"listener": listen}) }

// listen prints what it hears.
func listen() {
	ctx := context.Background()
	b, err := sockbus.Open(sockbus.Settings{Dir: os.Getenv(envDir)})
	if err != nil {
		panic(err)
	}
	s, err := b.Subscribe(ctx, "c")
	if err != nil {
		panic(err)
	}
	fmt.Println("open")
	for {
		signal, err := s.Next(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Println(signal.Gap, signal.Notification.ID)
	}
}

func TestConformance(t *testing.T) {
	dir := newDir(t)
	realtimetest.Run(t, realtimetest.Harness{New: func(t testing.TB) realtime.Backend { return open(t, dir) }})
}

func TestAnotherBusOfTheDirectoryHears(t *testing.T) {
	dir := newDir(t)
	sender, listener := open(t, dir), open(t, dir)
	defer func() { _ = sender.Close(t.Context()) }()
	defer func() { _ = listener.Close(t.Context()) }()
	s, err := listener.Subscribe(t.Context(), "events:order:42")
	if err != nil {
		t.Fatal(err)
	}
	want := realtime.Notification{Channel: "events:order:42", ID: "1"}
	if err := sender.Notify(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Next(t.Context()); err != nil || got.Notification != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestASocketOfAKilledProcessIsRemoved(t *testing.T) {
	dir := newDir(t)
	p := reexec.Start(t, "listener", envDir+"="+dir)
	p.AwaitLine("open")
	p.Kill()
	b := open(t, dir)
	defer func() { _ = b.Close(t.Context()) }()
	if err := b.Notify(t.Context(), realtime.Notification{Channel: "c", ID: "1"}); err != nil {
		t.Errorf("Notify: got %v, want nil", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("got %d sockets and %v, want the own one alone", len(left), err)
	}
}

func TestAProcessThatDidNotReadIsToldThatItMissedSome(t *testing.T) {
	dir := newDir(t)
	p := reexec.Start(t, "listener", envDir+"="+dir)
	p.AwaitLine("open")
	b := open(t, dir)
	defer func() { _ = b.Close(t.Context()) }()
	notify := func(id string, n int) {
		t.Helper()
		if err := b.Notify(t.Context(), slices.Repeat([]realtime.Notification{{Channel: "c", ID: id}}, n)...); err != nil {
			t.Fatal(err)
		}
	}
	notify("first", 1)
	p.AwaitLine("none first")
	p.Signal(syscall.SIGSTOP)
	notify("more than its socket holds", 5000)
	p.Signal(syscall.SIGCONT)
	reexec.Await(t, "the gap is told", func() bool {
		notify("later", 1)
		return slices.ContainsFunc(p.Lines(), func(line string) bool { return strings.HasPrefix(line, "overflow") })
	})
}
