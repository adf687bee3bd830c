package redispubsub

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func TestRedisCLIShowsANotificationAsTheDocsDo(t *testing.T) {
	addr, cli := testenv.Redis(t), testenv.RedisCLI(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	channel := realtime.Channel(testenv.Name(t, "order"), "42")
	cmd := exec.CommandContext(soon(t), cli, "-h", host, "-p", port, "--no-raw", "SUBSCRIBE", channel)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(out)
	var got strings.Builder
	read := func(n int) {
		for n > 0 && lines.Scan() {
			if line := lines.Text(); !strings.HasPrefix(line, "Reading messages") {
				got.WriteString(line + "\n")
				n--
			}
		}
	}
	read(3)
	err = open(t, addr).Notify(soon(t), realtime.Notification{
		Channel: channel, ID: "0190a5f2-6c6b-7c1e-9a55-3c1f3d0a7b10", Type: "order.created", SourceType: "order", SourceID: "42",
		Time: time.Date(2024, 7, 10, 9, 30, 0, 0, time.UTC), Topic: "orders", Position: "1720603800000-0",
	})
	if err != nil {
		t.Fatal(err)
	}
	read(3)
	want := documentedSubscribe(t)
	if got := strings.ReplaceAll(got.String(), channel, "events:order:42"); got != want {
		t.Errorf("redis-cli shows\n%s\nthe docs\n%s", got, want)
	}
}

// documentedSubscribe is the block in the package docs.
func documentedSubscribe(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(doc), "//\t$ redis-cli SUBSCRIBE events:order:42\n")
	if !ok {
		t.Fatal("the docs have no SUBSCRIBE")
	}
	block, _, _ = strings.Cut(block, "package redispubsub")
	return strings.ReplaceAll(block, "//\t", "")
}
