package kafka

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestSecuredBrokers(t *testing.T) {
	t.Parallel()
	k := testenv.StartSecureKafka(t, testenv.KafkaOptions{Proxied: true})
	for name, test := range map[string]func(*testing.T, *testenv.SecureKafka){
		"demand a login":                          demandALogin,
		"certificates that nobody vouches for":    refusedCertificates,
		"a certificate of the client is replaced": replacedCertificate,
		"who may read and not write":              mayOnlyRead,
		"who may write and not read":              mayOnlyWrite,
		"a permission to read comes and goes":     readingIsRevoked,
		"a permission to write comes and goes":    writingIsRevoked,
	} {
		t.Run(name, func(t *testing.T) { test(t, k) })
	}
}

func demandALogin(t *testing.T, k *testenv.SecureKafka) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(testenv.KafkaPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := func(mechanism string) SASLSettings {
		return SASLSettings{Mechanism: mechanism, User: testenv.KafkaUser, PasswordFile: password}
	}
	wrong := func(mechanism string) SASLSettings {
		return SASLSettings{Mechanism: mechanism, User: testenv.KafkaUser, Password: "wrong"}
	}
	verified := settings.TLS{Enabled: true, CAFile: k.CAFile}
	mutual := verified
	mutual.CertFile, mutual.KeyFile = k.CertFile, k.KeyFile
	misnamed := verified
	misnamed.ServerName = "other.example"
	for name, c := range map[string]struct {
		addr  string
		sasl  SASLSettings
		tls   settings.TLS
		blame string // "": it works
	}{
		"by default PLAIN":             {k.SASL, login(""), settings.TLS{}, ""},
		"SCRAM-SHA-256":                {k.SASL, login(SASLScramSHA256), settings.TLS{}, ""},
		"PLAIN over TLS":               {k.SASLTLS, login(SASLPlain), verified, ""},
		"SCRAM-SHA-512 over TLS":       {k.SASLTLS, login(SASLScramSHA512), verified, ""},
		"certificate of the client":    {k.TLS, SASLSettings{}, mutual, ""},
		"wrong password":               {k.SASL, wrong(SASLPlain), settings.TLS{}, "sasl.password"},
		"wrong password, SCRAM":        {k.SASLTLS, wrong(SASLScramSHA512), verified, "sasl.password"},
		"mechanism not offered":        {k.SASL, login(SASLScramSHA512), settings.TLS{}, "sasl.mechanism"},
		"no login":                     {k.SASL, SASLSettings{}, settings.TLS{}, "brokers"},
		"unknown authority":            {k.SASLTLS, login(SASLPlain), settings.TLS{Enabled: true}, "tls.ca_file"},
		"another server's name":        {k.SASLTLS, login(SASLPlain), misnamed, "tls.server_name"},
		"no certificate of a client":   {k.TLS, SASLSettings{}, verified, "tls.cert_file"},
		"no TLS where it is asked for": {k.SASL, login(SASLPlain), verified, "brokers"},
		"no TLS":                       {k.SASLTLS, login(SASLPlain), settings.TLS{}, "brokers"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Settings{Brokers: []string{c.addr}, SASL: c.sasl, TLS: c.tls, OpenTimeout: soon}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			cfg, err := s.Config(slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if c.blame == "" {
				b := openOn(t, cfg)
				topic := newTopic(t, b, 1)
				mustAppend(t, b, topic, events(3, oneKey)...)
				if got := replayed(t, b, topic, durable.Range{}); len(got) != 3 {
					t.Errorf("got %d records", len(got))
				}
				return
			}
			b, err := Open(t.Context(), cfg)
			if err == nil {
				closeNow(t, b)
				t.Fatal("Open succeeded")
			}
			if got := s.Blame(err); got != c.blame || !strings.Contains(err.Error(), `"`+strings.Split(c.blame, ".")[0]) {
				t.Errorf("blames %q, want %q, for %v", got, c.blame, err)
			}
			if refused := c.blame == "sasl.password"; errors.Is(err, durable.ErrDenied) != refused || refused && errors.Is(err, durable.ErrUnavailable) {
				t.Errorf("got %v, want ErrDenied for a wrong password only", err)
			}
			if strings.Contains(err.Error(), testenv.KafkaPassword) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
	t.Run("another authority meanwhile", func(t *testing.T) { awaitsAuthority(t, k, login(SASLPlain)) })
}

// awaitsAuthority opens with a file that holds another authority at first: the same configuration works once the file is
// right, because every connection reads it anew.
func awaitsAuthority(t *testing.T, k *testenv.SecureKafka, sasl SASLSettings) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	put := func(from string, at time.Time) {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err = errors.Join(err, os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	put(testenv.NewCertificates(t).CAFile, time.Now())
	s := Settings{Brokers: []string{k.SASLTLS}, SASL: sasl, TLS: settings.TLS{Enabled: true, CAFile: file}, OpenTimeout: soon}
	cfg, err := s.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg); s.Blame(err) != "tls.ca_file" || !strings.Contains(err.Error(), "name the authority") {
		t.Fatalf("got %v, want the authority blamed", err)
	}
	put(k.CAFile, time.Now().Add(time.Minute))
	b := openOn(t, cfg)
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(3, oneKey)...)
}

func TestAPasswordInClearTextIsWarnedOf(t *testing.T) {
	var log bytes.Buffer
	_, err := Open(t.Context(), Config{
		Brokers: []string{"127.0.0.1:1"}, OpenTimeout: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		SASL: SASL{User: "u", Password: "secret"},
	})
	if err == nil || !strings.Contains(log.String(), "clear text") || strings.Contains(log.String()+err.Error(), "secret") {
		t.Errorf("got %v, logged %s", err, log.String())
	}
}
