package adapters_test

import (
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/otel"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

//go:generate go test -run TestThePageAndTheSchemaAreThoseOfTheCode -update .

var update = flag.Bool("update", false, "write CONFIGURATION.md and schema.json anew")

// linked are all openers of the project.
func linked() dual.Openers {
	all := adapters.All()
	all.Middleware["metrics"] = prometheus.Opener(prometheus.Options{})
	all.Middleware["tracing"] = otel.Opener(otel.Options{})
	return all
}

func TestThePageAndTheSchemaAreThoseOfTheCode(t *testing.T) {
	intro, err := os.ReadFile("testdata/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := dual.Schema(linked())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"CONFIGURATION.md": string(intro) + dual.Reference(linked()), "schema.json": string(schema) + "\n",
	} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s is not that of the code (%v): run go generate ./adapters", name, err)
		}
	}
}

// described is a row of the page.
type described struct{ section, key, typ, unit, def, example, meaning string }

func rows(t *testing.T) []described {
	t.Helper()
	var out []described
	section := ""
	for line := range strings.SplitSeq(dual.Reference(linked()), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		c := strings.Split(strings.Trim(line, "| "), " | ")
		if len(c) != 6 {
			t.Fatalf("%d cells: %s", len(c), line)
		}
		for i := range c {
			c[i] = strings.Trim(c[i], "` ")
		}
		out = append(out, described{section, c[0], c[1], c[2], c[3], c[4], c[5]})
	}
	return out
}

func TestEverySettingSaysWhatItIs(t *testing.T) {
	seen := 0
	for _, r := range rows(t) {
		seen++
		where := r.section + "." + r.key
		if r.typ == "" || r.def == "" || r.meaning == "" || r.example == "" && !strings.HasPrefix(r.key, "connections") {
			t.Errorf("%s lacks a tag: %+v", where, r)
		}
		if strings.Contains(r.typ, "number") && r.unit == "" && !strings.HasSuffix(r.key, "db") {
			t.Errorf("%s has no unit", where)
		}
	}
	if want := countSettings(linked()); seen < want {
		t.Errorf("%d settings on the page, %d in the code", seen, want)
	}
}

// countSettings is the number of keys of all sections of openers.
func countSettings(o dual.Openers) int {
	n := 0
	for _, x := range o.Durable {
		n += leaves(reflect.TypeOf(x.Settings()).Elem())
	}
	for _, x := range o.Realtime {
		n += leaves(reflect.TypeOf(x.Settings()).Elem())
	}
	for _, x := range o.Middleware {
		n += leaves(reflect.TypeOf(x.Settings()).Elem())
	}
	return n
}

func leaves(of reflect.Type) int {
	n := 0
	for i := range of.NumField() {
		if f := of.Field(i); f.Type.Kind() == reflect.Struct {
			n += leaves(f.Type)
		} else if f.Tag.Get("yaml") != "" {
			n++
		}
	}
	return n
}

// TestEveryExampleIsAccepted puts the example of every setting, and its default, into a file of its own.
func TestEveryExampleIsAccepted(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "hunter2")
	t.Setenv("KAFKA_PASSWORD", "hunter2")
	for _, r := range rows(t) {
		if strings.HasPrefix(r.section, "The file") {
			continue
		}
		values := []string{r.example}
		if inCode(r.def) {
			values = append(values, r.def)
		}
		for _, value := range values {
			path := strings.ReplaceAll(r.section, "NAME", "orders") + "." + r.key
			text := nested(strings.Split(path, "."), value)
			if !strings.HasPrefix(path, "durable.") {
				text += "durable: { backend: memory }\n"
			}
			cfg, err := dual.Parse("f.yaml", []byte(text))
			if err == nil {
				err = cfg.Check(linked())
			}
			for _, p := range dual.Problems(err) {
				if p.Path == path && !errors.Is(p, durable.ErrInvalid) || strings.Contains(p.Problem, "unknown key") || strings.Contains(p.Problem, "not YAML") {
					t.Errorf("%s: %s: %v", path, value, p)
				}
			}
		}
	}
}

// inCode tells whether a default is a value, not words.
func inCode(def string) bool {
	return def != "" && !strings.Contains(def, " ") && def != "none" && def != "required" && def != "never"
}

func nested(path []string, value string) string {
	text := ""
	if path[0] == "durable" {
		text = "durable:\n  backend: memory\n"
		path = path[1:]
		return text + indented(path, value, 1)
	}
	if path[0] == "realtime" {
		return "realtime:\n  backend: memory\n" + indented(path[1:], value, 1)
	}
	return indented(path, value, 0)
}

func indented(path []string, value string, level int) string {
	text := ""
	for i, key := range path {
		text += strings.Repeat("  ", level+i) + key + ":"
		if i < len(path)-1 {
			text += "\n"
		}
	}
	return text + " " + value + "\n"
}
