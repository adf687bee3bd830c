// Package settings holds what the settings of several adapters share.
package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// TLS are the keys of a section tls.
type TLS struct {
	Enabled    bool   `yaml:"enabled" doc:"the connection is encrypted" example:"true"`
	CAFile     string `yaml:"ca_file" zero:"those of the system" doc:"PEM file with the authorities whose certificates are accepted" example:"/etc/ssl/ca.pem"`
	CertFile   string `yaml:"cert_file" doc:"PEM file with a certificate of our own, for servers that ask for it" example:"/etc/ssl/client.pem"`
	KeyFile    string `yaml:"key_file" doc:"PEM file with the key of cert_file" example:"/etc/ssl/client.key"`
	ServerName string `yaml:"server_name" zero:"the host that is dialled" doc:"name that the certificate of the server must have" example:"redis.internal"`
}

// Check refuses a certificate without its key, and the reverse. It reads no file.
func (t TLS) Check() error {
	if t.CertFile != "" && t.KeyFile == "" {
		return durable.Invalid("tls.key_file", "", "name the key of tls.cert_file")
	}
	if t.KeyFile != "" && t.CertFile == "" {
		return durable.Invalid("tls.cert_file", "", "name the certificate of tls.key_file")
	}
	return nil
}

// Config reads the files; it is nil where TLS is not enabled.
func (t TLS) Config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, &Blamed{"tls.ca_file", err}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &Blamed{"tls.ca_file", errors.New("holds no PEM certificate")}
		}
	}
	if t.CertFile == "" && t.KeyFile == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, &Blamed{"tls.cert_file", err}
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// Blamed is an error that one setting causes.
type Blamed struct {
	Setting string // key within the section of the backend
	Err     error
}

// Error is that of Err.
func (e *Blamed) Error() string { return e.Err.Error() }

// Unwrap is Err.
func (e *Blamed) Unwrap() error { return e.Err }

// Address refuses what is not host:port.
func Address(key, value string) error {
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return durable.Invalid(key, value, "write host:port")
	}
	return nil
}

// NotNegative refuses a number below 0.
func NotNegative(key string, n int64) error {
	if n < 0 {
		return durable.Invalid(key, strconv.FormatInt(n, 10), "write a number from 1, or remove the key for the default")
	}
	return nil
}

// First is the first of errs that is not nil.
func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Duration refuses what is below a millisecond and not 0.
func Duration(key string, d time.Duration) error {
	if d < 0 || d > 0 && d < time.Millisecond {
		return durable.Invalid(key, d.String(), "write at least 1ms, or remove the key for the default")
	}
	return nil
}
