package dual_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/dual"
)

// FuzzAnyFileIsReadOrRefused holds that no file panics, that what is wrong is an ErrConfig of that file, and that the
// value of a secret is never in a text.
func FuzzAnyFileIsReadOrRefused(f *testing.F) {
	const secret = "correct-horse"
	for _, seed := range []string{
		"", "durable: { backend: memory }\n", of("password: ${DS_SECRET}"), of("password: { a: ${DS_SECRET} }"),
		of("passwrod: ${DS_SECRET}"), of("max_len: ${DS_SECRET}"), of("brokers: [a, ${DS_NONE:-b}]"), of("timeout: 5s"),
		"durable: { backend: memory, memory: { addr: redis://u:${DS_SECRET}@h:1 } }\n",
		memoryLine + "topics: { a: { partitions: 3, retention: 1h }, b: }\n", memoryLine + "publish: { topic: a, wait: 1s }\n",
		memoryLine + "realtime: { backend: bus, bus: { connection: main } }\nconnections: { main: { addr: a } }\n",
		memoryLine + "retry: { attempts: 3 }\n", "durable: &a [*a]\n", "%YAML 1.2\n---\n", "durable: !!binary x\n", "\xff\xfe", "? a\n: b\n", "a: |\n  b\n",
	} {
		f.Add(seed)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		t.Setenv("DS_SECRET", secret)
		cfg, err := check(text)
		if err != nil {
			var bad *dual.ConfigError
			if !errors.Is(err, dual.ErrConfig) || !errors.As(err, &bad) || bad.File != "f.yaml" || bad.Problem == "" {
				t.Errorf("got %v, want a *ConfigError of the file", err)
			}
		} else {
			roundTrip(t, cfg)
		}
		shown := fmt.Sprintf("%v %+v", cfg, cfg)
		if strings.Contains(text, "password: ${DS_SECRET}\n") && (strings.Contains(shown, secret) || strings.Contains(fmt.Sprint(err), secret)) {
			t.Errorf("the secret is shown: %s %v", shown, err)
		}
	})
}

// roundTrip holds that an effective configuration loads again and is its own.
func roundTrip(t *testing.T, cfg *dual.Config) {
	t.Helper()
	once, err := cfg.Effective(openers())
	if err != nil {
		t.Fatalf("a file that is accepted: %v", err)
	}
	again, err := check(once)
	if err != nil {
		t.Fatalf("the effective configuration is refused: %v\n%s", err, once)
	}
	if twice, err := again.Effective(openers()); err != nil || twice != once {
		t.Errorf("%v: got\n%s\nwant\n%s", err, twice, once)
	}
}
