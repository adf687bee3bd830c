package kafka

import (
	"crypto/tls"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

func TestKeysArePlacedAsTheJavaClientDoes(t *testing.T) {
	for key, hash := range map[string]int32{ // from org.apache.kafka.common.utils.UtilsTest
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int32{1, 3, 12, math.MaxInt32} {
			want := (hash & 0x7fffffff) % n
			if got := durable.Partition(key, int(n)); got != int(want) {
				t.Errorf("durable.Partition(%q, %d): got %d, want %d", key, n, got, want)
			}
			if got := partitionOf([]byte(key), int(n)); got != want {
				t.Errorf("%q of %d: got %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestRecordsWithoutAKeyStayForAWhileAndThenMoveOn(t *testing.T) {
	var p sticky
	seen := map[int32]int{}
	up := func(int) bool { return false }
	for range 4 * stickiness {
		seen[p.next(4, up)]++
	}
	for at := range int32(4) {
		if seen[at] != stickiness {
			t.Errorf("partition %d: got %d records, want %d", at, seen[at], stickiness)
		}
	}
	for range 4 * stickiness {
		if at := p.next(4, func(at int) bool { return at != 2 }); at != 2 {
			t.Fatalf("got partition %d, which is down", at)
		}
	}
	if at := p.next(1, func(int) bool { return true }); at != 0 {
		t.Errorf("with everything down: got %d", at)
	}
}

func TestValidateNamesTheSetting(t *testing.T) {
	ok := func(change func(*Config)) Config {
		c := Config{Brokers: []string{"localhost:9092"}}
		change(&c)
		return c
	}
	for field, c := range map[string]Config{
		"brokers":           {},
		"sasl.mechanism":    ok(func(c *Config) { c.SASL = SASL{Mechanism: "GSSAPI", User: "u", Password: "p"} }),
		"sasl.password":     ok(func(c *Config) { c.SASL = SASL{Mechanism: SASLScramSHA512, User: "u"} }),
		"sasl.user":         ok(func(c *Config) { c.SASL.Mechanism = "PLAIN" }),
		"append_timeout":    ok(func(c *Config) { c.AppendTimeout = -time.Second }),
		"session_timeout":   ok(func(c *Config) { c.SessionTimeout = time.Nanosecond }),
		"max_message_bytes": ok(func(c *Config) { c.MaxMessageBytes = 10 }),
		"partitions":        ok(func(c *Config) { c.Partitions = -1 }),
		"replication":       ok(func(c *Config) { c.Replication = -2 }),
	} {
		var invalid *durable.InvalidError
		err := c.Validate()
		if !errors.As(err, &invalid) || !errors.Is(err, durable.ErrInvalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if err := ok(func(*Config) {}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestACertificateAndItsKeyComeTogether(t *testing.T) {
	for field, s := range map[string]settings.TLS{
		"tls.key_file":  {Enabled: true, CertFile: "c.pem"},
		"tls.cert_file": {Enabled: true, KeyFile: "k.pem"},
	} {
		var invalid *durable.InvalidError
		if err := (Settings{Brokers: []string{"host:1"}, TLS: s}).Check(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestATLSConfigOfTheProgramReplacesTheFiles(t *testing.T) {
	cfg, err := Settings{Brokers: []string{"host:1"}, TLS: settings.TLS{Enabled: true}}.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := cfg.filled(); c.files == nil {
		t.Error("the files are not used")
	}
	cfg.TLS = &tls.Config{ServerName: "mine"}
	if c := cfg.filled().reader(); !c.Net.TLS.Enable || c.Net.TLS.Config.ServerName != "mine" {
		t.Errorf("got %v, want the program's", c.Net.TLS)
	}
}

func TestAWrongAddressNamesTheSetting(t *testing.T) {
	_, err := Open(t.Context(), Config{Brokers: []string{"127.0.0.1:1"}, OpenTimeout: 2 * time.Second})
	if !errors.Is(err, durable.ErrUnavailable) || !strings.Contains(err.Error(), `"brokers"`) {
		t.Errorf("got %v", err)
	}
}

func TestPositionsRoundTrip(t *testing.T) {
	p, o, err := parsePosition(position(3, 1042, "Ab3_x9Qz"))
	if p != 3 || o != 1042 || err != nil {
		t.Errorf("got %d, %d, %v", p, o, err)
	}
	for _, bad := range []durable.Position{"", "3", "3:", ":4", "-1:4", "3:-4", "x:y", "1712-0", "3:4@"} {
		if _, _, err := parsePosition(bad); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", bad, err)
		}
	}
}
