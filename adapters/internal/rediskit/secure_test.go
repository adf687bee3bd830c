package rediskit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/internal/testenv"
)

// certificate writes an authority that signs itself, for name, and its key. It holds for an hour.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	return certificateUntil(t, name, time.Now().Add(time.Hour))
}

func certificateUntil(t *testing.T, name string, end time.Time) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, bytes []byte) string {
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", raw)
}

// reserved is an address that no other test is given until t ends, and on which nobody listens.
func reserved(t *testing.T) (addr, port string) {
	t.Helper()
	p := testenv.NewProxy(t, "127.0.0.1:1")
	p.Cut()
	_, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return p.Addr(), port
}

// ping sends one command over a Writer and a Session of s.
func ping(t *testing.T, s Settings) error {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	c, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	w, in := c.NewWriter(patience, nil), c.NewSession()
	defer w.Close()
	defer in.Close()
	if _, err := w.Send(t.Context(), NewBatch(AppendCommand(nil, "ping"), 1)); err != nil {
		return err
	}
	_, err = in.Do(t.Context(), AppendCommand(nil, "ping"), patience)
	return err
}

func TestConnectionsAreSecuredAsTheSettingsSay(t *testing.T) {
	cert, key := certificate(t, "redis.test")
	other, _ := certificate(t, "redis.test")
	addr, port := reserved(t)
	testenv.StartRedis(t, testenv.RedisOptions{Settings: []string{
		"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "yes",
	}})
	s := Settings{Addr: addr, TLS: settings.TLS{Enabled: true, CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "redis.test"}}
	if err := ping(t, s); err != nil {
		t.Errorf("got %v, want an answer", err)
	}
	for name, spoil := range map[string]func(*settings.TLS){
		"another authority": func(c *settings.TLS) { c.CAFile = other },
		"another name":      func(c *settings.TLS) { c.ServerName = "other.test" },
		"no certificate":    func(c *settings.TLS) { c.CertFile, c.KeyFile = "", "" },
	} {
		bad := s
		spoil(&bad.TLS)
		if err := ping(t, bad); err == nil {
			t.Errorf("%s: got an answer, want a refusal", name)
		}
	}
}

func TestAUserIsLetInByName(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"})
	if err := r.Client().Do(t.Context(), "acl", "setuser", "app", "on", ">secret", "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	if err := ping(t, Settings{Addr: r.Addr(), Username: "app", Password: "secret"}); err != nil {
		t.Errorf("got %v, want an answer", err)
	}
	if err := ping(t, Settings{Addr: r.Addr(), Username: "app", Password: "wrong"}); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("wrong password: got %v, want WRONGPASS", err)
	}
}
