package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

const root = "../.."

// block is a fenced block of a document.
type block struct {
	language string
	line     int
	text     string
}

// blocks are the fenced blocks of the file at path.
func blocks(t *testing.T, path string) []block {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	open := false
	for i, line := range strings.Split(string(data), "\n") {
		if language, fence := strings.CutPrefix(line, "```"); fence {
			if open = !open; open {
				out = append(out, block{language: language, line: i + 1})
			}
			continue
		}
		if open {
			last := &out[len(out)-1]
			last.text += line + "\n"
		}
	}
	return out
}

// shell runs command from the root of the repository and returns what it prints and its exit code.
func shell(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = root
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// TestEveryBlockOfTheReadmeIsTrue executes the blocks, but for make: that the target is there is all that can be tested
// from within one.
func TestEveryBlockOfTheReadmeIsTrue(t *testing.T) {
	shared := testenv.Redis(t)
	t.Setenv("KAFKA_BROKERS", strings.Join(testenv.Kafka(t), ","))
	ran := map[string]int{}
	for _, b := range blocks(t, filepath.Join(root, "README.md")) {
		ran[b.language]++
		switch b.language {
		case "sh":
			t.Setenv("REDIS_ADDR", shared)
			for command := range strings.Lines(b.text) {
				checkCommand(t, b.line, strings.TrimSpace(command))
			}
		case "go":
			checkProgram(t, b)
		case "yaml":
			t.Setenv("REDIS_ADDR", testenv.StartRedis(t, testenv.RedisOptions{}).Addr()) // its topic is not that of others
			checkConfig(t, b)
		case "": // a picture
		default:
			t.Errorf("README.md:%d: nothing checks a block of %s", b.line, b.language)
		}
	}
	if ran["sh"] < 4 || ran["go"] < 1 || ran["yaml"] < 1 {
		t.Errorf("got %v blocks of each language, want commands, a program and a file", ran)
	}
}

func checkCommand(t *testing.T, line int, command string) {
	t.Helper()
	words := strings.Fields(command)
	switch {
	case strings.HasPrefix(command, "go run ./examples/quickstart"):
		words = append(words, "-group", testenv.Name(t, "quickstart")) // others use the servers at the same time
		if out, code := shell(t, words[0], words[1:]...); code != 0 {
			t.Errorf("README.md:%d: %s: exit code %d: %s", line, command, code, out)
		}
	case strings.HasPrefix(command, "diff "):
		out, code := shell(t, words[0], words[1:]...)
		if changed := strings.Count("\n"+out, "\n<"); code != 1 || changed != 1 || strings.Count("\n"+out, "\n>") != 1 {
			t.Errorf("README.md:%d: %s: exit code %d, %d changed lines: %s", line, command, code, changed, out)
		}
	case strings.HasPrefix(command, "make "):
		if out, code := shell(t, "make", append([]string{"-n"}, words[1:]...)...); code != 0 {
			t.Errorf("README.md:%d: %s: no such target: %s", line, command, out)
		}
	default:
		t.Errorf("README.md:%d: nothing checks %s", line, command)
	}
}

func checkProgram(t *testing.T, b block) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := shell(t, "go", "run", file)
	if code != 0 || !strings.Contains(out, "stored at ") || !strings.Contains(out, `processed 1042 {"total": 42}`) {
		t.Errorf("README.md:%d: the program ends with %d: %s", b.line, code, out)
	}
}

// checkConfig opens the file and handles an event in it, as the text below the block says.
func checkConfig(t *testing.T, b block) {
	t.Helper()
	cfg, err := dual.Parse("README.md", bytes.TrimSpace([]byte(b.text)))
	if err != nil {
		t.Fatalf("README.md:%d: %v", b.line, err)
	}
	stack, err := dual.Open(t.Context(), cfg, adapters.All())
	if err != nil {
		t.Fatalf("README.md:%d: %v", b.line, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	event := durable.Event{Type: "order.created", SourceType: "order", SourceID: "1042"}
	if _, err := stack.Publisher.Publish(ctx, event); err != nil {
		t.Fatal(err)
	}
	var handled []string
	handler := func(msg *message.Message) ([]*message.Message, error) {
		handled = append(handled, durable.Key(msg))
		stop()
		return nil, nil
	}
	group := stack.Group("billing")
	err = durable.Process(ctx, stack.Durable, group, stack.Handler("billing", handler), stack.ProcessOf(group))
	if err != nil || !slices.Equal(handled, []string{"1042"}) {
		t.Errorf("README.md:%d: handled %v, %v, want the event", b.line, handled, err)
	}
	if err := stack.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
