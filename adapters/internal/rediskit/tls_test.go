package rediskit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/internal/testenv"
)

// secured starts a server that demands TLS at the address that it returns, with a certificate, and accepts those of ca.
func secured(t *testing.T, cert, key, ca string) (r *testenv.RedisServer, addr string) {
	t.Helper()
	addr, port := reserved(t)
	return testenv.StartRedis(t, testenv.RedisOptions{Settings: []string{
		"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "yes",
	}}), addr
}

// opened is the error of a first ping by s.
func opened(t *testing.T, s Settings) error {
	t.Helper()
	c, err := s.Config()
	if err != nil {
		return err
	}
	client := c.Client(Control)
	defer func() { _ = client.Close() }()
	return c.Ping(t.Context(), "redisstream", client)
}

func TestCertificatesThatAreNoGoodNameTheSettingAndTheRemedy(t *testing.T) {
	good, goodKey := certificate(t, "redis.test")
	other, otherKey := certificate(t, "redis.test")
	old, oldKey := certificateUntil(t, "redis.test", time.Now().Add(-time.Hour))
	plain, addr := secured(t, good, goodKey, good)
	_, oldAddr := secured(t, old, oldKey, good)
	section := func(ca, cert, key, name string) settings.TLS {
		return settings.TLS{Enabled: true, CAFile: ca, CertFile: cert, KeyFile: key, ServerName: name}
	}
	for name, c := range map[string]struct {
		addr   string
		tls    settings.TLS
		blame  string
		remedy string
	}{
		"expired":                      {oldAddr, section(old, good, goodKey, "redis.test"), "tls", "renew it"},
		"signed by itself":             {addr, section(other, good, goodKey, "redis.test"), "tls.ca_file", "name the authority"},
		"for another host":             {addr, section(good, good, goodKey, ""), "tls.server_name", "write a name"},
		"none of the client":           {addr, section(good, "", "", "redis.test"), "tls.cert_file", "name a"},
		"of the client, by a stranger": {addr, section(good, other, otherKey, "redis.test"), "tls.cert_file", "an authority of the server"},
		"of the client, expired":       {addr, section(good, old, oldKey, "redis.test"), "tls.cert_file", "certificate"},
		"to a port without TLS":        {plain.Addr(), section(good, good, goodKey, "redis.test"), "addr", "speaks no TLS"},
		"no TLS":                       {addr, settings.TLS{}, "addr", "tls.enabled"},
		"no file":                      {addr, section("/nonexistent", "", "", ""), "tls.ca_file", "no such file"},
		"no certificate in the file":   {addr, section(goodKey, "", "", ""), "tls.ca_file", "no PEM certificate"},
		"a key that does not fit":      {addr, section(good, good, otherKey, ""), "tls.cert_file", "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			err := opened(t, Settings{Addr: c.addr, TLS: c.tls})
			var blamed *settings.Blamed
			if !errors.As(err, &blamed) || blamed.Setting != c.blame || !strings.Contains(err.Error(), c.remedy) ||
				!strings.Contains(err.Error(), `"`+c.blame+`"`) {
				t.Errorf("got %v, want the setting %q and %q", err, c.blame, c.remedy)
			}
		})
	}
}

// TestCertificatesAreReadAgainWhenTheyChange replaces those of both sides, and the authority, under open connections.
func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	install := func(newCert, newKey string) {
		for to, from := range map[string]string{cert: newCert, key: newKey} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		later := time.Now().Add(time.Minute) // a clock of files may be coarse
		for _, f := range []string{cert, key} {
			if err := os.Chtimes(f, later, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, firstKey := certificate(t, "redis.test")
	install(first, firstKey)
	server, addr := secured(t, first, firstKey, first)
	c, err := Settings{Addr: addr, TLS: settings.TLS{Enabled: true, CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "redis.test"}}.Config()
	if err != nil {
		t.Fatal(err)
	}
	w := c.NewWriter(patience, nil)
	defer w.Close()
	client := c.Client(Control)
	defer func() { _ = client.Close() }()
	check := func(when string) error {
		b := NewBatch(AppendCommand(nil, "ping"), 1)
		fate, err := w.Send(t.Context(), b)
		if err = errors.Join(err, b.Err(), client.Ping(t.Context()).Err()); fate != Answered {
			err = errors.Join(err, errors.New("not answered"))
		}
		if err != nil {
			return errors.Join(errors.New(when), err)
		}
		return nil
	}
	if err := check("at first"); err != nil {
		t.Fatal(err)
	}
	second, secondKey := certificate(t, "redis.test")
	admin := server.Client()
	for _, args := range [][]any{
		{"config", "set", "tls-cert-file", second, "tls-key-file", secondKey, "tls-ca-cert-file", second},
		{"client", "kill", "type", "normal"},
	} {
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Await(t, patience, func() bool { return check("with the old one") != nil }, "the old certificate is refused")
	install(second, secondKey)
	testenv.Await(t, patience, func() bool { return check("with the new one") == nil }, "the new certificate is used")
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := admin.Do(t.Context(), "client", "kill", "type", "normal").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, patience, func() bool { return check("with the last good one") == nil }, "a file that cannot be used changes nothing")
}

func TestAPasswordMayStandInAFile(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Password: "geheim"})
	file := filepath.Join(t.TempDir(), "password")
	for text, works := range map[string]bool{"geheim\n": true, "other": false, "": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := Settings{Addr: r.Addr(), PasswordFile: file}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if err := opened(t, s); (err == nil) != works || err != nil && !strings.Contains(err.Error(), `"password`) {
			t.Errorf("%q: got %v, want an answer: %t", text, err, works)
		}
	}
	s := Settings{Addr: r.Addr(), Password: "x", PasswordFile: file}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "password_file") {
		t.Errorf("both: got %v, want a refusal of password_file", err)
	}
}
