package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
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

func TestEveryBlockOfTheReadmeIsTrue(t *testing.T) {
	t.Setenv("REDIS_ADDR", testenv.Redis(t))
	t.Setenv("KAFKA_BROKERS", strings.Join(testenv.Kafka(t), ","))
	ran := 0
	for _, b := range blocks(t, filepath.Join(root, "README.md")) {
		switch b.language {
		case "sh":
			for command := range strings.Lines(b.text) {
				ran += checkCommand(t, b.line, strings.TrimSpace(command))
			}
		case "go":
			checkProgram(t, b)
			ran++
		case "yaml":
			checkConfig(t, b)
			ran++
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands, programs and files were found", ran)
	}
}

// checkCommand returns how many commands it checked.
func checkCommand(t *testing.T, line int, command string) int {
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
		return 0
	}
	return 1
}

func checkProgram(t *testing.T, b block) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := shell(t, "go", "run", file); code != 0 {
		t.Errorf("README.md:%d: the program ends with %d: %s", b.line, code, out)
	}
}

func checkConfig(t *testing.T, b block) {
	t.Helper()
	cfg, err := dual.Parse("README.md", bytes.TrimSpace([]byte(b.text)))
	if err != nil {
		t.Errorf("README.md:%d: %v", b.line, err)
		return
	}
	if err := cfg.Check(adapters.All()); err != nil {
		t.Errorf("README.md:%d: %v", b.line, err)
	}
}
