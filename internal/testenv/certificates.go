package testenv

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
	"testing"
	"time"
)

// Certificates are files of PEM for one hour: an authority, a client it vouches for, and a server at 127.0.0.1.
type Certificates struct {
	CAFile     string
	CertFile   string // of the client
	KeyFile    string // of the client
	ServerCert string
	ServerKey  string

	dir string
	ca  *authority
}

// clientName is the common name of the client's certificate.
const clientName = "client"

// NewCertificates makes them; they vanish with t. The directory holds the server's key and certificate in one file,
// server.pem, as well, and so it does for one that is out of date, expired.pem, and one that vouches for itself,
// selfsigned.pem.
func NewCertificates(t testing.TB) Certificates {
	t.Helper()
	dir := t.TempDir()
	c := Certificates{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "client-cert.pem"),
		KeyFile: filepath.Join(dir, "client-key.pem"), ServerCert: filepath.Join(dir, "server-cert.pem"),
		ServerKey: filepath.Join(dir, "server-key.pem"), dir: dir,
	}
	ca := &authority{t: t}
	ca.key = ca.newKey()
	ca.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testenv"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	ca.write(c.CAFile, ca.sign(ca.cert, ca.key))
	c.ca = ca
	c.WriteClient(clientName, c.CertFile, c.KeyFile, ca.cert.NotAfter)
	server, serverKey := ca.issue("server", ca.cert.NotAfter)
	ca.write(c.ServerCert, server)
	ca.write(c.ServerKey, serverKey)
	ca.write(filepath.Join(dir, "server.pem"), append(serverKey, server...))
	old, oldKey := ca.issue("server", time.Now().Add(-time.Minute))
	ca.write(filepath.Join(dir, "expired.pem"), append(oldKey, old...))
	own, ownKey := (&authority{t: t}).issue("server", ca.cert.NotAfter)
	ca.write(filepath.Join(dir, "selfsigned.pem"), append(ownKey, own...))
	return c
}

// WriteClient writes a new client's certificate for name, valid until end, and its key.
func (c Certificates) WriteClient(name, certFile, keyFile string, end time.Time) {
	cert, key := c.ca.issue(name, end)
	c.ca.write(certFile, cert)
	c.ca.write(keyFile, key)
}

type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, "make a key", err)
	return key
}

// sign makes the PEM of cert for key. An authority without a certificate has cert vouch for itself.
func (a *authority) sign(cert *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	by, with := a.cert, a.key
	if by == nil {
		by, with = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, by, &key.PublicKey, with)
	must(a.t, "make a certificate", err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// issue makes a certificate for 127.0.0.1, valid until end, and its key.
func (a *authority) issue(name string, end time.Time) (cert, key []byte) {
	k := a.newKey()
	cert = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, k)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	must(a.t, "encode a key", err)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *authority) write(file string, data []byte) {
	must(a.t, "write", os.WriteFile(file, data, 0o600))
}
