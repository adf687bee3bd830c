package kafka

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// opens opens by settings, as a configuration file has them.
func opens(t *testing.T, s Settings) (*Backend, error) {
	t.Helper()
	s.OpenTimeout, s.SessionTimeout = soon, soon
	cfg, err := s.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return Open(t.Context(), cfg)
}

func refusedCertificates(t *testing.T, k *testenv.SecureKafka) {
	for name, c := range map[string]struct {
		addr, blame, remedy string
		client              func(t *testing.T, certFile, keyFile string) // writes the certificate of the client
	}{
		"of the server, out of date":      {k.Expired, "tls", "renew it there", nil},
		"of the server, signed by itself": {k.SelfSigned, "tls.ca_file", "where it signed itself", nil},
		"of the client, by another": {k.TLS, "tls.cert_file", "an authority of the server has signed", func(t *testing.T, certFile, keyFile string) {
			testenv.NewCertificates(t).WriteClient("client", certFile, keyFile, time.Now().Add(time.Hour))
		}},
		"of the client, out of date": {k.TLS, "tls.cert_file", "an authority of the server has signed", func(_ *testing.T, certFile, keyFile string) {
			k.WriteClient("client", certFile, keyFile, time.Now().Add(-time.Minute))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := Settings{
				Brokers: []string{c.addr}, TLS: settings.TLS{Enabled: true, CAFile: k.CAFile},
				SASL: SASLSettings{User: testenv.KafkaUser, Password: testenv.KafkaPassword},
			}
			if c.client != nil {
				dir := t.TempDir()
				s.SASL = SASLSettings{}
				s.TLS.CertFile, s.TLS.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
				c.client(t, s.TLS.CertFile, s.TLS.KeyFile)
			}
			b, err := opens(t, s)
			if err == nil {
				closeNow(t, b)
				t.Fatal("Open succeeded")
			}
			if got := s.Blame(err); got != c.blame || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("blames %q, want %q and %q, for %v", got, c.blame, c.remedy, err)
			}
		})
	}
}

// replacedCertificate has a member go on, when its connections break, by what the files of its certificate hold then.
// That they are new ones shows by the access rules: the old ones have no right any more.
func replacedCertificate(t *testing.T, k *testenv.SecureKafka) {
	dir := t.TempDir()
	tls := settings.TLS{
		Enabled: true, CAFile: k.CAFile, CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
	}
	put := func(name string, at time.Time) {
		k.WriteClient(name, tls.CertFile, tls.KeyFile, at.Add(time.Hour))
		if err := errors.Join(os.Chtimes(tls.CertFile, at, at), os.Chtimes(tls.KeyFile, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	topic, group := newTopic(t, openOn(t, Config{Brokers: k.Brokers()}), 1), testenv.Name(t, "g")
	rights := func(name string) []testenv.Access {
		return []testenv.Access{
			{User: "CN=" + name, Resource: sarama.AclResourceTopic, Name: topic, Operation: sarama.AclOperationRead},
			{User: "CN=" + name, Resource: sarama.AclResourceTopic, Name: topic, Operation: sarama.AclOperationWrite},
			{User: "CN=" + name, Resource: sarama.AclResourceGroup, Name: group, Operation: sarama.AclOperationRead},
		}
	}
	for _, a := range rights("before") {
		k.Allow(a)
	}
	put("before", time.Now())
	b, err := opens(t, Settings{Brokers: []string{k.TLS}, TLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, b) })
	c := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	mustAppend(t, b, topic, events(1, oneKey)...)
	if err := c.Ack(t.Context(), fetch(t, c, 1)...); err != nil {
		t.Fatal(err)
	}
	k.TLSProxy().Cut()
	for _, a := range rights("before") {
		k.Revoke(a)
	}
	for _, a := range rights("after") {
		k.Allow(a)
	}
	put("after", time.Now().Add(time.Minute))
	k.TLSProxy().Restore()
	msgs := events(1, oneKey)
	mustAppend(t, b, topic, msgs...)
	if ds := fetchThroughFaults(t, c, 1); ds[0].Message.UUID != msgs[0].UUID {
		t.Errorf("got %s, want %s", ds[0].Message.UUID, msgs[0].UUID)
	}
}
