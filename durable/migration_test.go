package durable_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryClaimOfTheMigrationNamesATestThatExists(t *testing.T) {
	text, err := os.ReadFile("MIGRATION.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\[(Test\w+)\]\(([^)]+_test\.go)\)`)
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| what |") || strings.HasPrefix(line, "|-") {
			continue
		}
		rows++
		links := link.FindAllStringSubmatch(line, -1)
		if len(links) == 0 {
			t.Errorf("%s names no test", strings.TrimSpace(line))
		}
		for _, l := range links {
			source, err := os.ReadFile(filepath.FromSlash(l[2]))
			if err != nil || !strings.Contains(string(source), "\nfunc "+l[1]+"(t *testing.T)") {
				t.Errorf("%s has no test %s: %v", l[2], l[1], err)
			}
		}
	}
	if rows < 15 {
		t.Errorf("got %d rows, want the tables", rows)
	}
}
