package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// spans are what stands between backticks in the text of the file at path, outside of its blocks.
func spans(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, b := range blocks(t, path) {
		text = strings.Replace(text, "```"+b.language+"\n"+b.text+"```", "", 1)
	}
	var out []string
	for i, span := range strings.Split(text, "`") {
		if i%2 == 1 {
			out = append(out, strings.Join(strings.Fields(span), " "))
		}
	}
	return out
}

// flags are the names that the command in dir defines, among other words that it passes on.
func flags(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no command: %v", dir, err)
	}
	var out []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`[(,] ?"([a-z-]+)", `).FindAllSubmatch(data, -1) {
			out = append(out, string(match[1]))
		}
	}
	return out
}

// checkRun looks at the folder, the flags and the files of a go run that is not executed. It tells whether span is one.
func checkRun(t *testing.T, span string) bool {
	t.Helper()
	args, found := strings.CutPrefix(span, "go run ./")
	if !found {
		if args, found = strings.CutPrefix(span, "cd benchmarks && go run ."); found {
			args = "benchmarks" + args
		}
	}
	if !found {
		return false
	}
	words := strings.Fields(args)
	known := flags(t, filepath.Join(root, words[0]))
	for _, word := range words[1:] {
		if name, is := strings.CutPrefix(word, "-"); is && !slices.Contains(known, name) {
			t.Errorf("%s: no flag %s among %v", span, name, known)
		}
		if strings.HasPrefix(word, "examples/") {
			checkFile(t, word)
		}
	}
	return true
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Error(err)
	}
}

// TestEveryCommandWithinTheTextExists looks at the commands in the lines of the text, which are not executed.
func TestEveryCommandWithinTheTextExists(t *testing.T) {
	seen := 0
	for _, span := range spans(t, filepath.Join(root, "README.md")) {
		switch {
		case checkRun(t, span):
		case strings.HasPrefix(span, "make "):
			if out, code := shell(t, "make", "-n", strings.Fields(span)[1]); code != 0 {
				t.Errorf("%s: %s", span, out)
			}
		case strings.HasPrefix(span, "examples/"):
			checkFile(t, span)
		default:
			continue
		}
		seen++
	}
	if seen < 7 {
		t.Errorf("got %d commands and folders, want those of the text", seen)
	}
}

// TestEveryCommandInTheCommentsOfTheExamplesExists looks at those that the documentation of the programs shows.
func TestEveryCommandInTheCommentsOfTheExamplesExists(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples", "*", "main.go"))
	if err != nil || len(files) < 5 {
		t.Fatalf("got %v, %v, want the examples", files, err)
	}
	seen := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			command, _, _ := strings.Cut(strings.TrimPrefix(line, "//\t"), " #")
			if checkRun(t, strings.TrimSpace(command)) {
				seen++
			}
		}
	}
	if seen < 5 {
		t.Errorf("got %d commands", seen)
	}
}

// TestTheReadmeNamesTheTargets compares the last section with what make help lists.
func TestTheReadmeNamesTheTargets(t *testing.T) {
	help, code := shell(t, "make", "--no-print-directory", "help")
	if code != 0 {
		t.Fatal(help)
	}
	var want []string
	for line := range strings.Lines(help) {
		want = append(want, strings.Fields(line)[0])
	}
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "`make help` lists the targets: ")
	text, _, _ = strings.Cut(text, ". ")
	got := []string{"help"}
	for _, match := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(text, -1) {
		got = append(got, match[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestEveryLinkOfTheReadmeLeadsToAFile is about those within the repository.
func TestEveryLinkOfTheReadmeLeadsToAFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllSubmatch(data, -1)
	for _, match := range links {
		if link := string(match[1]); !strings.HasPrefix(link, "https://") {
			if _, err := os.Stat(filepath.Join(root, link)); err != nil {
				t.Error(err)
			}
		}
	}
	if len(links) < 5 {
		t.Errorf("got %d links", len(links))
	}
}
