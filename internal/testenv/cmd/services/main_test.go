package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheLinesCanBePastedIntoAShell has a shell run them.
func TestTheLinesCanBePastedIntoAShell(t *testing.T) {
	var lines strings.Builder
	export(&lines, "redis", []string{"127.0.0.1:1"})
	export(&lines, "kafka-4.3.1", []string{"127.0.0.1:2", "127.0.0.1:3"})
	out, err := exec.CommandContext(t.Context(), "sh", "-c", lines.String()+`echo "$REDIS_ADDR $KAFKA_BROKERS"`).CombinedOutput()
	if got, want := string(out), "127.0.0.1:1 127.0.0.1:2,127.0.0.1:3\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestAServerThatDoesNotRunIsAComment(t *testing.T) {
	var lines strings.Builder
	export(&lines, "kafka", nil)
	if got, want := lines.String(), "# kafka does not run\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
