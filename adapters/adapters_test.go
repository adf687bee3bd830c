package adapters_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// keys are the settings of t with a value each, as YAML in one line.
func keys(t *testing.T, of reflect.Type) string {
	t.Helper()
	return "{ " + strings.Join(pairs(t, of), ", ") + " }"
}

func pairs(t *testing.T, of reflect.Type) []string {
	t.Helper()
	var out []string
	for i := range of.NumField() {
		f := of.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			t.Errorf("%s.%s has no key", of, f.Name)
		}
		value := "1"
		switch {
		case name == ",inline":
			out = append(out, pairs(t, f.Type)...)
			continue
		case f.Type == reflect.TypeFor[time.Duration]():
			value = "1s"
		case f.Type.Kind() == reflect.Struct:
			value = keys(t, f.Type)
		case f.Type.Kind() == reflect.Bool:
			value = "true"
		case f.Type.Kind() == reflect.Slice:
			value = "[ 'host:1' ]"
		case name == "addr":
			value = "'host:1'"
		case name == "mechanism":
			value = "PLAIN"
		case name == "persistence":
			value = "require"
		case name == "max_message_bytes":
			value = "100000"
		case f.Type.Kind() == reflect.String:
			value = "text"
		}
		out = append(out, name+": "+value)
	}
	return out
}

func check(text string) error {
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		return err
	}
	return cfg.Check(adapters.All())
}

func file(t *testing.T, side, name string, settings any) string {
	t.Helper()
	other := ""
	if side != "durable" {
		other = "durable: { backend: memory }\n"
	}
	return fmt.Sprintf("%s%s:\n  backend: %s\n  %s: %s\n", other, side, name, name, keys(t, reflect.TypeOf(settings).Elem()))
}

// TestEverySettingIsReadFromAFile gives every key a value: that some exclude each other is not what it is about.
func TestEverySettingIsReadFromAFile(t *testing.T) {
	all := adapters.All()
	for name, o := range all.Durable {
		readable(t, file(t, "durable", name, o.Settings()))
	}
	for name, o := range all.Realtime {
		readable(t, file(t, "realtime", name, o.Settings()))
	}
}

func readable(t *testing.T, text string) {
	t.Helper()
	for _, p := range dual.Problems(check(text)) {
		if !errors.Is(p, durable.ErrInvalid) {
			t.Errorf("%v:\n%s", p, text)
		}
	}
}

func TestBadSettingsAreRefusedWithTheirPath(t *testing.T) {
	for path, text := range map[string]string{
		"durable.memory.partitions":     "durable: { backend: memory, memory: { partitions: -1 } }",
		"durable.memory.max_len":        "durable: { backend: memory, memory: { max_len: -1 } }",
		"durable.redisstream.addr":      "durable: { backend: memory, redisstream: { addr: host } }",
		"durable.redisstream.password":  "durable: { backend: memory, redisstream: { addr: 'h:1', username: me } }",
		"durable.redisstream.pool_size": "durable: { backend: memory, redisstream: { addr: 'h:1', pool_size: -1 } }",
		"durable.redisstream.timeout":   "durable: { backend: memory, redisstream: { addr: 'h:1', timeout: 1us } }",
		"durable.kafka.brokers":         "durable: { backend: memory, kafka: { brokers: 'a:1,b' } }",
		"durable.kafka.sasl.mechanism":  "durable: { backend: memory, kafka: { brokers: 'a:1', sasl: { mechanism: X, user: me } } }",
		"durable.kafka.partitions":      "durable: { backend: memory, kafka: { brokers: 'a:1', partitions: -1 } }",
		"realtime.memory.buffer":        "durable: { backend: memory }\nrealtime: { backend: memory, memory: { buffer: -1 } }",
		"realtime.redispubsub.buffer":   "durable: { backend: memory }\nrealtime: { backend: memory, redispubsub: { addr: 'h:1', buffer: -1 } }",
		"realtime.redispubsub.db":       "durable: { backend: memory }\nrealtime: { backend: memory, redispubsub: { addr: 'h:1', db: -1 } }",
		"durable.kafka.tls.ca_fil":      "durable: { backend: memory, kafka: { brokers: 'a:1', tls: { ca_fil: x } } }",
	} {
		var bad *dual.ConfigError
		if err := check(text); !errors.As(err, &bad) || bad.Path != path || bad.Line == 0 || bad.Remedy == "" {
			t.Errorf("got %v, want a remedy for %s", err, path)
		}
	}
}
