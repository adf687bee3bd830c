package dual_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// Shared is a part of the settings of several backends.
type Shared struct {
	Addr string `yaml:"addr"`
	TLS  struct {
		CAFile string `yaml:"ca_file"`
	} `yaml:"tls"`
}

type inlined struct {
	Shared `yaml:",inline"`
	Rest   Deeper `yaml:",inline"`
	MaxLen int64  `yaml:"max_len"`
}

// Deeper holds a further part.
type Deeper struct {
	More struct {
		Pool int `yaml:"pool_size"`
	} `yaml:",inline"`
}

func (s inlined) Check() error {
	if s.Addr == "bad" {
		return durable.Invalid("addr", s.Addr, "write host:port")
	}
	return nil
}

func TestKeysOfInlinedStructsStandBesideTheOthers(t *testing.T) {
	var got inlined
	all := openers()
	all.Durable["kafka"] = dual.DurableOf(inlined{MaxLen: 3}, func(_ context.Context, s inlined, _ dual.Deps) (durable.Backend, error) {
		got = s
		return nil, &dual.SettingError{Setting: "pool_size", Err: errors.New("enough")}
	})
	open := func(lines ...string) error {
		cfg, err := dual.Parse("f.yaml", []byte("durable:\n  backend: kafka\n  kafka:\n    "+strings.Join(lines, "\n    ")+"\n"))
		if err != nil {
			return err
		}
		_, err = dual.Open(t.Context(), cfg, all)
		return err
	}
	err := open("addr: a:1", "tls: { ca_file: x }", "pool_size: 7")
	want := inlined{MaxLen: 3}
	want.Addr, want.TLS.CAFile, want.Rest.More.Pool = "a:1", "x", 7
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := `f.yaml:6: durable.kafka.pool_size: cannot open with "7": enough`; fmt.Sprint(err) != want {
		t.Errorf("blame: got %v, want %s", err, want)
	}
	for _, c := range []struct{ line, want string }{
		{"pool_siez: 7", `f.yaml:5: durable.kafka.pool_siez: unknown key; did you mean "pool_size"?`},
		{"adr: b:2", `f.yaml:5: durable.kafka.adr: unknown key; did you mean "addr"?`},
		{"pool_size: x", `f.yaml:5: durable.kafka.pool_size: a text ("x") where a whole number is expected; write a whole number without quotes and unit`},
		{"tls: { ca_fiel: x }", `f.yaml:5: durable.kafka.tls.ca_fiel: unknown key; did you mean "ca_file"?`},
		{"shared: {}", `f.yaml:5: durable.kafka.shared: unknown key`},
	} {
		if err := open("max_len: 5", c.line); !strings.HasPrefix(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %s", c.line, err, c.want)
		}
	}
	if err, want := open("max_len: 5", "addr: bad"), `f.yaml:5: durable.kafka.addr: bad value "bad"; write host:port`; fmt.Sprint(err) != want {
		t.Errorf("check: got %v, want %s", err, want)
	}
}
