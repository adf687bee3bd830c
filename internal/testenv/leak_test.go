package testenv

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/internal/leaktest"
)

// own runs a child of its own until it is killed.
func own() {
	c, err := startChild([]string{"sleep", "1000"}, "", nil, nil, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("pid", c.pid)
	<-c.done
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestPrivateServersEndWithAKilledOwner(t *testing.T) {
	for _, state := range []string{"running", "frozen"} {
		t.Run(state, func(t *testing.T) {
			p := Reexec(t, "own")
			pid, err := strconv.Atoi(p.AwaitLine(soon, "pid "))
			if err != nil {
				t.Fatal(err)
			}
			if state == "frozen" {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			p.Kill()
			Await(t, soon, func() bool { return !alive(pid) }, "the owner's child ends")
		})
	}
}

func TestTestsLeaveNothingBehind(t *testing.T) {
	defer leaktest.None(t, append(Leaks(), goleak.IgnoreCurrent())...)
	var pids []int
	t.Run("servers", func(t *testing.T) {
		Redis(t)
		for _, spoil := range []func(*Proxy){(*Proxy).Cut, (*Proxy).Stall, delaySecond, throttleHard} {
			r := StartRedis(t, RedisOptions{Proxied: true})
			spoil(r.Proxy())
			pids = append(pids, r.child.pid)
		}
		frozen := StartRedis(t, RedisOptions{})
		frozen.Freeze()
		pids = append(pids, frozen.child.pid, Reexec(t, "count").Pid())
	})
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d outlived its test", pid)
		}
	}
}

func delaySecond(p *Proxy)  { p.Delay(time.Second) }
func throttleHard(p *Proxy) { p.Throttle(1000) }
