package dual_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

type streamSettings struct {
	Addr     string        `yaml:"addr"`
	Password string        `yaml:"password"`
	Brokers  []string      `yaml:"brokers"`
	Timeout  time.Duration `yaml:"timeout"`
	MaxLen   int64         `yaml:"max_len"`
	Sync     bool          `yaml:"sync"`
	Ratio    float64       `yaml:"ratio"`
}

func (s streamSettings) Check() error {
	if s.MaxLen < 0 {
		return durable.Invalid("max_len", fmt.Sprint(s.MaxLen), "write a number from 1")
	}
	return nil
}

func openers() dual.Openers {
	open := func(context.Context, streamSettings, dual.Deps) (durable.Backend, error) {
		return nil, errors.New("dialled")
	}
	listen := func(context.Context, streamSettings, dual.Deps) (realtime.Backend, error) {
		return nil, errors.New("dialled")
	}
	stream, bus := dual.DurableOf(streamSettings{Addr: "here:1"}, open), dual.RealtimeOf(streamSettings{}, listen)
	return dual.Openers{
		Durable:  map[string]dual.DurableOpener{"memory": stream, "kafka": stream},
		Realtime: map[string]dual.RealtimeOpener{"bus": bus},
	}
}

func check(text string) (*dual.Config, error) {
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Check(openers())
}

const memoryLine = "durable: { backend: memory }\n"

// of is a file whose second line sets one key of the section of a backend that is not chosen.
func of(setting string) string {
	return "durable:\n  backend: memory\n  kafka:\n    " + setting + "\n"
}

func TestBadFilesAreRefusedWithLinePathAndRemedy(t *testing.T) {
	t.Setenv("DS_TEXT", "text")
	t.Setenv("DS_EMPTY", "")
	const unit = "write a number with a unit, such as 500ms, 5s or 2m"
	const number = "write a number from 1, or remove the key for the default"
	for _, c := range []struct{ text, want string }{
		{"", `f.yaml: durable.backend: missing; name the stream that keeps the events, such as memory`},
		{"durable:\n", `f.yaml: durable.backend: missing; name the stream that keeps the events, such as memory`},
		{"durable: {}\n", `f.yaml:1: durable.backend: missing; name a backend, such as memory`},
		{"durable: memory\n", `f.yaml:1: durable: a text ("memory") where a mapping is expected; write a mapping`},
		{"durable: { backend: 5 }\n", `f.yaml:1: durable.backend: a number ("5") where a text is expected; quote it: "5"`},
		{"durable: { backend: }\n", `f.yaml:1: durable.backend: has no value; write one, or remove the key`},
		{"durable: { backend: kafak }\n", `f.yaml:1: durable.backend: unknown backend "kafak"; did you mean "kafka"?`},
		{"durable: { backend: zzz }\n", `f.yaml:1: durable.backend: unknown backend "zzz"; known are kafka, memory`},
		{"- durable\n", `f.yaml:1: a list where a mapping is expected; start with durable:`},
		{memoryLine + "durible: {}\n", `f.yaml:2: durible: unknown key; did you mean "durable"?`},
		{memoryLine + "realtime: { backend: bsu }\n", `f.yaml:2: realtime.backend: unknown backend "bsu"; did you mean "bus"?`},
		{"durable:\n  backend: memory\n  kafak: {}\n", `f.yaml:3: durable.kafak: unknown key; did you mean "kafka"?`},
		{of("brokrs: a"), `f.yaml:4: durable.kafka.brokrs: unknown key; did you mean "brokers"?`},
		{of("brokers: { a: b }"), `f.yaml:4: durable.kafka.brokers: a mapping where a list is expected; write a list`},
		{of("brokers: [a, 5]"), `f.yaml:4: durable.kafka.brokers[1]: a number ("5") where a text is expected; quote it: "5"`},
		{of("brokers: 'a,,b'"), `f.yaml:4: durable.kafka.brokers: "a,,b" has an empty element; remove it`},
		{of("timeout: 5"), `f.yaml:4: durable.kafka.timeout: "5" is not a duration; ` + unit},
		{of("timeout: -5s"), `f.yaml:4: durable.kafka.timeout: "-5s" is negative; ` + unit},
		{of("timeout: true"), `f.yaml:4: durable.kafka.timeout: true or false ("true") where a duration is expected; ` + unit},
		{of("max_len: many"), `f.yaml:4: durable.kafka.max_len: a text ("many") where a whole number is expected; write a whole number without quotes and unit`},
		{of("max_len: 1.5"), `f.yaml:4: durable.kafka.max_len: "1.5" is not a whole number in range; write one such as 16`},
		{of("max_len: -1"), `f.yaml:4: durable.kafka.max_len: bad value "-1"; write a number from 1`},
		{of("max_len: ${DS_TEXT}"), `f.yaml:4: durable.kafka.max_len: "${DS_TEXT}" is not a whole number in range; write one such as 16`},
		{of("sync: 'yes'"), `f.yaml:4: durable.kafka.sync: a text ("yes") where true or false is expected; write true or false`},
		{of("ratio: .inf"), `f.yaml:4: durable.kafka.ratio: ".inf" is not a finite number; write one such as 0.5`},
		{of("password: 12345"), `f.yaml:4: durable.kafka.password: a number ("***") where a text is expected; quote it: "***"`},
		{of("password: ${DS_NONE}"), `f.yaml:4: durable.kafka.password: the environment variable DS_NONE is not set; set it`},
		{of("password: ${DS_EMPTY}"), `f.yaml:4: durable.kafka.password: the environment variable DS_EMPTY is not set; set it`},
		{of("addr: '${A B}'"), `f.yaml:4: durable.kafka.addr: "A B" is not the name of a variable; write ${NAME} or ${NAME:-default}`},
		{of("addr: '${A'"), `f.yaml:4: durable.kafka.addr: ${ is not closed; write ${NAME} or ${NAME:-default}, and $${ for the text ${`},
		{of("connection: man"), `f.yaml:4: durable.kafka.connection: there is no connection "man"; nothing is known here`},
		{"connections: { main: {} }\n" + of("connection: man"), `f.yaml:5: durable.kafka.connection: there is no connection "man"; did you mean "main"?`},
		{memoryLine + "publish: { topic: a/b }\n", `f.yaml:2: publish.topic: bad value "a/b"; use letters, digits, '.', '_' and '-', at most 249 of them`},
		{memoryLine + "publish: { max_in_flight: 0 }\n", `f.yaml:2: publish.max_in_flight: bad value "0"; ` + number},
		{memoryLine + "process: { concurrency: -1 }\n", `f.yaml:2: process.concurrency: bad value "-1"; ` + number},
		{memoryLine + "topics: { a/b: {} }\n", `f.yaml:2: topics.a/b: bad value "a/b"; use letters, digits, '.', '_' and '-', at most 249 of them`},
		{memoryLine + "topics: { a: { partitions: 0 } }\n", `f.yaml:2: topics.a.partitions: bad value "0"; ` + number},
		{memoryLine + "topics: [a]\n", `f.yaml:2: topics: a list where a mapping is expected; write a mapping`},
		{"durable: &d { backend: memory }\n", `f.yaml:1: durable: anchors, aliases, merges and tags are not read; write the value out`},
		{"---\n" + memoryLine + "---\n" + memoryLine, `f.yaml:4: a second document; keep one, without ---`},
	} {
		_, err := check(c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
		if !errors.Is(err, dual.ErrConfig) {
			t.Errorf("%q: %v is not an ErrConfig", c.text, err)
		}
	}
}

func TestHugeAndDeepFilesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"size":     strings.Repeat("#", dual.MaxConfig+1),
		"brackets": "durable: " + strings.Repeat("[", 200_000),
		"dashes":   strings.Repeat("- ", 200_000),
	} {
		if _, err := dual.Parse("f.yaml", []byte(text)); !errors.Is(err, dual.ErrConfig) {
			t.Errorf("%s: got %v, want an ErrConfig", name, err)
		}
	}
}

func TestNotYAMLNamesTheLine(t *testing.T) {
	_, err := dual.Parse("f.yaml", []byte("durable:\n  backend: memory\n  backend: kafka\n"))
	var bad *dual.ConfigError
	if !errors.As(err, &bad) || bad.Line != 3 {
		t.Fatalf("got %v, want an error in line 3", err)
	}
}

func TestConfigPrintsWithoutSecrets(t *testing.T) {
	t.Setenv("DS_PASSWORD", "hunter2")
	cfg, err := check(of("password: ${DS_PASSWORD}\n    addr: redis://user:hunter2@host:1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{cfg.String(), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), cfg.LogValue().String()} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "    password: \"***\"") {
			t.Errorf("got %s", text)
		}
	}
}

func TestVariablesConnectionsAndDefaultsAreFilled(t *testing.T) {
	t.Setenv("DS_BROKERS", "a:1, b:2")
	t.Setenv("DS_LEN", "7")
	var got streamSettings
	all := openers()
	all.Durable["kafka"] = dual.DurableOf(streamSettings{Ratio: 0.5}, func(_ context.Context, s streamSettings, _ dual.Deps) (durable.Backend, error) {
		got = s
		return nil, errors.New("enough")
	})
	cfg, err := dual.Parse("f.yaml", []byte(`
connections:
  main: { addr: "${DS_NONE:-127.0.0.1:1}", timeout: 5s, password: "$${x}" }
durable:
  backend: kafka
  kafka: { connection: main, brokers: "${DS_BROKERS}", max_len: "${DS_LEN}", timeout: 2s }
`))
	if err != nil {
		t.Fatal(err)
	}
	opener := all.Durable["kafka"]
	settings := opener.Settings()
	if settings.(*streamSettings).Ratio != 0.5 {
		t.Errorf("defaults: got %+v", settings)
	}
	if err := cfg.Check(all); err != nil {
		t.Fatal(err)
	}
	_, _ = dual.Open(t.Context(), cfg, all)
	want := streamSettings{Addr: "127.0.0.1:1", Password: "${x}", Brokers: []string{"a:1", "b:2"}, Timeout: 2 * time.Second, MaxLen: 7, Ratio: 0.5}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
