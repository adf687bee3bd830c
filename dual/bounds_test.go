package dual_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
)

// TestFilesThatAreTooLargeAreRefused holds both limits: bytes, which are not read beyond it, and
// words, with whose number the work of the parser grows.
func TestFilesThatAreTooLargeAreRefused(t *testing.T) {
	for name, unit := range map[string]string{
		"10 MB of comments": "# a comment that goes on\n", "10 MB of keys": "a: b\n", "10 MB of one line": "x",
	} {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, []byte(strings.Repeat(unit, 10_000_000/len(unit))), 0o600); err != nil {
			t.Fatal(err)
		}
		err := dual.Check(file, adapters.All())
		if want := file + ": more than 262144 bytes; is this the right file?"; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if got, want := allocated(func() {
		if _, err := dual.Load("/dev/zero"); !errors.Is(err, dual.ErrConfig) {
			t.Errorf("an endless file: %v", err)
		}
	}), uint64(4<<20); got > want {
		t.Errorf("%d bytes for an endless file, want at most %d", got, want)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestFilesThatGrowAreReadInBoundedMemory holds that a file of the largest size costs no more than so many times it.
func TestFilesThatGrowAreReadInBoundedMemory(t *testing.T) {
	laughs := "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for c := 'b'; c <= 'z'; c++ {
		laughs += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 10) + "]\n"
	}
	for name, text := range map[string]string{
		"billion laughs":   laughs + "durable: *z\n",
		"brackets":         strings.Repeat("[", dual.MaxConfig),
		"braces":           strings.Repeat("{a: ", dual.MaxConfig/4),
		"dashes":           strings.Repeat("- ", dual.MaxConfig/2),
		"keys":             strings.Repeat("a: b\n", dual.MaxConfig/5),
		"keys without end": strings.Repeat(" a:\n", dual.MaxConfig/4),
		"anchors":          strings.Repeat("&a ", dual.MaxConfig/3),
		"merges":           strings.Repeat("<<: *a\n", dual.MaxConfig/7),
		"documents":        strings.Repeat("---\n", dual.MaxConfig/4),
		"blocks":           strings.Repeat("a: |\n b\n", dual.MaxConfig/8),
		"variables":        "durable: '" + strings.Repeat("${A:-b}", dual.MaxConfig/8) + "'",
		"unknown keys":     memoryLine + "kafka: {" + strings.Repeat("x: , ", 3000) + "}\n",
	} {
		used := allocated(func() {
			cfg, err := dual.Parse("f.yaml", []byte(text))
			if err == nil {
				err = cfg.Check(adapters.All())
			}
			if !errors.Is(err, dual.ErrConfig) {
				t.Errorf("%s: got %v, want an ErrConfig", name, err)
			}
		})
		if used > 256<<20 {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
}

func TestLineEndsAndMarksOfOtherEditorsAreRead(t *testing.T) {
	for _, text := range []string{"\xef\xbb\xbfdurable:\r\n  backend: memory\r\n", "durable: # tab behind it\t\n  backend:\tmemory\n"} {
		cfg, err := dual.Parse("f.yaml", []byte(text))
		if err != nil || cfg.Durable != "memory" {
			t.Errorf("%q: %v, %v", text, cfg, err)
		}
	}
}

// TestListsInBracesTakeAddresses: the parser takes a:1 for a mapping there.
func TestListsInBracesTakeAddresses(t *testing.T) {
	cfg, err := dual.Parse("f.yaml", []byte("durable: { backend: kafka, kafka: { brokers: [kafka-1:9092, b:1, 'c:2'] } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.Effective(adapters.All())
	if want := "brokers:\n      - \"kafka-1:9092\"\n      - \"b:1\"\n      - \"c:2\"\n"; err != nil || !strings.Contains(got, want) {
		t.Errorf("%v: got %s, want %s", err, got, want)
	}
	_, err = dual.Parse("f.yaml", []byte("durable: { backend: kafka, kafka: { brokers: [a: 1] } }\n"))
	if cfg, _ := dual.Parse("f.yaml", []byte("durable: { backend: kafka, kafka: { brokers: [a: 1] } }\n")); cfg == nil || cfg.Check(adapters.All()) == nil {
		t.Errorf("a mapping is taken for a text: %v", err)
	}
}
