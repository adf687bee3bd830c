package durable_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// comparison is the rows of the tables in COMPARISON.md, without their heads.
func comparison(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("COMPARISON.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "| feature") && !strings.HasPrefix(line, "|-") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	if len(rows) < 25 {
		t.Fatalf("got %d rows, want the table", len(rows))
	}
	return rows
}

func TestEveryTestThatTheComparisonNamesExists(t *testing.T) {
	link := regexp.MustCompile(`\[(\w+)\]\(([^)]+)\)`)
	files := map[string]string{}
	for _, row := range comparison(t) {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != 5 {
			t.Errorf("%s: got %d cells, want 5", row, len(cells))
			continue
		}
		links := link.FindAllStringSubmatch(cells[4], -1)
		if len(links) == 0 || strings.Contains(row, "not yet") {
			t.Errorf("%s: names no test", strings.TrimSpace(cells[0]))
		}
		for _, l := range links {
			name, path := l[1], l[2]
			if _, read := files[path]; !read {
				text, err := os.ReadFile(filepath.FromSlash(path))
				if err != nil {
					t.Error(err)
				}
				files[path] = string(text)
			}
			if !strings.HasPrefix(name, "Test") || !strings.HasSuffix(path, "_test.go") || !strings.Contains(files[path], "\nfunc "+name+"(t *testing.T)") {
				t.Errorf("%s: %s has no test %s", strings.TrimSpace(cells[0]), path, name)
			}
		}
	}
}
