package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
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

// Config is Files.Config as the files are now.
func (t TLS) Config() (*tls.Config, error) {
	f, err := t.Files()
	return f.Config(), err
}

// Files are those of t, read. It is nil, which is usable, where TLS is not enabled.
func (t TLS) Files() (*Files, error) {
	if !t.Enabled {
		return nil, nil
	}
	f := &Files{t: t, seen: t.stamps()}
	var err error
	if f.config, err = t.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Files is the configuration of connections by files that are read again when they have changed. It is safe for
// concurrent use.
type Files struct {
	t TLS

	mu     sync.Mutex
	seen   [3]stamp
	config *tls.Config
}

// stamp tells versions of a file apart.
type stamp struct {
	changed time.Time
	size    int64
}

func (t TLS) stamps() (out [3]stamp) {
	for i, file := range []string{t.CAFile, t.CertFile, t.KeyFile} {
		if file == "" {
			continue
		}
		if info, err := os.Stat(file); err == nil {
			out[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return out
}

// Config is for the next connection, as the files are at that moment. Files that cannot be used, such as a certificate
// whose key is not there yet, leave it as it was until they change again. It is not to be changed.
func (f *Files) Config() *tls.Config {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.t.stamps()
	if seen == f.seen {
		return f.config
	}
	f.seen = seen
	if config, err := f.t.read(); err == nil {
		f.config = config
	}
	return f.config
}

// read reads the files.
func (t TLS) read() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, blame("tls.ca_file", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, blame("tls.ca_file", errors.New("holds no PEM certificate"))
		}
	}
	if t.CertFile == "" && t.KeyFile == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, blame("tls.cert_file", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func blame(setting string, err error) error {
	return &Blamed{setting, fmt.Errorf("setting %q: %w", setting, err)}
}
