package schematests_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const root = "../.."

// schema compiles the schema, which checks it against that of all schemas.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "adapters", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return err
	}
	return s.Validate(plain(value))
}

// plain has the types that the validator knows.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case uint64:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return "not in JSON"
		}
		return v
	default:
		return v
	}
}

// named is the schema that the first line of a file names for editors, which look for it from the folder of the file.
func named(file string, text []byte) string {
	line, _, _ := strings.Cut(string(text), "\n")
	path, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
	if !ok {
		return ""
	}
	return filepath.Join(filepath.Dir(file), path)
}

func TestTheSchemaAcceptsEveryExample(t *testing.T) {
	s, seen := schema(t), 0
	files, err := filepath.Glob(filepath.Join(root, "examples", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "backend: filelog") {
			continue // a backend of the example's own, which this schema does not know
		}
		seen++
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if got := named(file, text); got != filepath.Join(root, "adapters", "schema.json") {
			t.Errorf("%s: names the schema %q for editors", file, got)
		}
	}
	if seen < 6 {
		t.Errorf("%d examples", seen)
	}
	for _, text := range []string{
		"durable: { backend: memory }\nretry:\npoison: { after: park_key }\ntopics: { orders: , 'a.b-c_9': { partitions: 3 } }\n",
		"connections: { main: { addr: 'redis:6379', tls: { enabled: true } } }\ndurable: { backend: redisstream, redisstream: { connection: main } }\ndedupe: { store: redis, redis: { connection: main } }\n",
		"durable: { backend: '${BACKEND}', kafka: { brokers: '${BROKERS}', static_members: '${S:-true}', max_message_bytes: '${M}' } }\n",
		"durable: { backend: memory }\ntiers: { delays: [5s, 1h30m, 1.5h] }\nrate_limit: { per_second: 0.5 }\nopen_timeout: '${T:-5s}'\n",
	} {
		if err := validate(t, s, []byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// blind are the bad files in which a schema cannot see what is wrong: it depends on the environment, on another key, on
// the meaning of a text or on how the file is written.
var blind = []string{
	"address-without-port", "anchor", "broker-without-port", "certificate-without-key", "control-character",
	"dedupe-on-redis-without-address", "delays-that-shrink", "duration-too-short", "empty-element", "merge",
	"missing-address", "missing-brokers", "missing-secret", "not-utf8", "octal-or-decimal",
	"retry-max-below-initial", "secret-not-set", "tag", "topic-name", "two-documents", "unknown-connection",
	"user-without-password", "variable-empty", "variable-in-a-variable", "variable-is-no-number", "variable-name",
	"variable-not-closed", "variable-not-set", "variable-with-braces-in-its-default", "variable-without-name",
}

func TestTheSchemaRefusesEveryBadFileThatItCanSee(t *testing.T) {
	s := schema(t)
	files, err := filepath.Glob(filepath.Join(root, "dual", "testdata", "bad", "*.yaml"))
	if err != nil || len(files) < 60 {
		t.Fatal(len(files), err)
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		refused := validate(t, s, text) != nil
		if refused {
			seen++
		}
		if want := !slices.Contains(blind, name); refused != want {
			t.Errorf("%s: refused: %t, want %t", name, refused, want)
		}
	}
	t.Logf("%d of %d bad files are refused", seen, len(files))
}
