package testenv

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end after SIGTERM before it is killed.
const stopTimeout = 20 * time.Second

// guardScript runs a command and kills it when its standard input ends, which happens when the process that started
// it has gone, however it went. It writes the command's process id to descriptor 3 and ends with its exit code.
const guardScript = `
exec 4<&0
"$@" </dev/null 3>&- 4<&- &
p=$!
echo "$p" >&3
exec 3>&-
{ read -r _ <&4; kill -KILL "$p"; } >/dev/null 2>&1 &
r=$!
exec 4<&- >/dev/null
wait "$p" 2>/dev/null
rc=$?
kill "$r" 2>/dev/null
exit $rc`

// A child is a process that never outlives this one. It has its own session.
type child struct {
	pid  int
	hold io.Closer     // the guard's standard input
	done chan struct{} // closed when the process has ended
	err  error         // of the end; read it after done
}

// startChild runs command. The streams are files, so that nothing has to copy them.
func startChild(command []string, dir string, env []string, stdout, stderr *os.File) (*child, error) {
	idRead, idWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = idRead.Close() }()
	guard := exec.Command("sh", append([]string{"-c", guardScript, "guard"}, command...)...)
	guard.Dir, guard.Env, guard.Stdout, guard.Stderr = dir, env, stdout, stderr
	guard.ExtraFiles = []*os.File{idWrite}
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	hold, err := guard.StdinPipe()
	if err != nil {
		_ = idWrite.Close()
		return nil, err
	}
	err = guard.Start()
	_ = idWrite.Close()
	if err != nil {
		return nil, err
	}
	c := &child{hold: hold, done: make(chan struct{})}
	go func() { // ends with the process; kill and terminate wait for it
		defer close(c.done)
		c.err = guard.Wait()
	}()
	id, _ := io.ReadAll(idRead)
	c.pid, err = strconv.Atoi(strings.TrimSpace(string(id)))
	if err != nil {
		_ = hold.Close()
		return nil, fmt.Errorf("start %s: no process id: %w", command[0], err)
	}
	return c, nil
}

// signal sends sig unless the process has ended.
func (c *child) signal(sig syscall.Signal) {
	if !c.ended() {
		_ = syscall.Kill(c.pid, sig)
	}
}

// freezeTimeout is how long freeze waits for the threads of a process to stop.
const freezeTimeout = 5 * time.Second

// freeze stops the process where it is (SIGSTOP), and returns when all its threads stand still, or it has ended.
func (c *child) freeze() {
	c.signal(syscall.SIGSTOP)
	for end := time.Now().Add(freezeTimeout); !c.ended() && !stopped(c.pid) && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
}

// stopped tells whether no thread of the process pid runs. It is true where there is no /proc to ask.
func stopped(pid int) bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ") // its name may have blanks
		if !strings.HasPrefix(rest, "T") && !strings.HasPrefix(rest, "Z") {
			return false
		}
	}
	return true
}

// kill ends the process as kill -9 does, frozen or not, and waits for its end.
func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	<-c.done
	_ = c.hold.Close()
}

// terminate asks the process to end and waits for it; kills it when that takes too long.
func (c *child) terminate() {
	c.signal(syscall.SIGCONT)
	c.signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
	c.kill()
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
