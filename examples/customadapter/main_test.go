package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheProgramStoresHearsAndHandles(t *testing.T) {
	config, err := filepath.Abs("custom.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for range 2 { // what was handled does not come again
		var out strings.Builder
		if err := run(t.Context(), config, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"stored at ", "heard of order.created at ", "handled order.created"} {
			if strings.Count(out.String(), want) != 1 {
				t.Errorf("got %q, want %q once", out.String(), want)
			}
		}
	}
}

// sources is the text of every file of the example but its guide.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*.go", "*.yaml", "*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(data)
		}
	}
	return all.String()
}

func TestEveryBlockOfTheGuideIsPartOfTheExample(t *testing.T) {
	guide, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, checked := sources(t), 0
	for i, part := range strings.Split(string(guide), "```") {
		language, block, _ := strings.Cut(part, "\n")
		if i%2 == 0 || language != "go" && language != "yaml" {
			continue
		}
		if checked++; !strings.Contains(code, "\n"+block) && !strings.HasPrefix(code, block) {
			t.Errorf("no file of the example holds this block:\n%s", block)
		}
	}
	if checked < 8 {
		t.Errorf("got %d blocks of code, want the steps of the guide", checked)
	}
}

// TestTheExampleCanBeCopied holds that a program elsewhere may import all that the example and its tests do.
func TestTheExampleCanBeCopied(t *testing.T) {
	if strings.Contains(sources(t), "github.com/dualstream/dualstream/"+"internal/") {
		t.Error("the example imports an internal package")
	}
}

func TestTheAdaptersAreAsSmallAsTheGuideSays(t *testing.T) {
	for dir, most := range map[string]int{"filelog": 299, "sockbus": 99} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(data), "\n")
		}
		if lines == 0 || lines > most {
			t.Errorf("%s has %d lines with its comments, want at most %d", dir, lines, most)
		}
	}
}
