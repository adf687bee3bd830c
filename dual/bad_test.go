package dual_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
)

var update = flag.Bool("update", false, "write the messages of the bad files anew")

// TestEveryBadFileIsToldInFull holds the exact message of every file of testdata/bad, which stands beside it.
func TestEveryBadFileIsToldInFull(t *testing.T) {
	t.Chdir(filepath.Join("testdata", "bad"))
	t.Setenv("DS_SECRET", "hunter2")
	t.Setenv("DS_EMPTY", "")
	t.Setenv("DS_TEXT", "text")
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			err := dual.Check(file, adapters.All())
			if err == nil {
				t.Fatal("the file is accepted")
			}
			checkProblems(t, file, err)
			message := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(message, []byte(err.Error()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(message)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("\n got %swant %s", got, want)
			}
		})
	}
}

// checkProblems holds that every line of err is a problem with a remedy, and that no secret is shown.
func checkProblems(t *testing.T, file string, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the secret is shown: %v", err)
	}
	problems := dual.Problems(err)
	if lines := strings.Count(err.Error(), "\n") + 1; len(problems) != lines {
		t.Errorf("%d problems in %d lines", len(problems), lines)
	}
	last := 0
	for _, p := range problems {
		if p.File != file || p.Problem == "" || p.Remedy == "" {
			t.Errorf("%+v has no file, problem or remedy", p)
		}
		if p.Line < last {
			t.Errorf("line %d after line %d", p.Line, last)
		}
		last = p.Line
	}
}
