package testenv

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

// The user of a [SecureKafka].
const (
	KafkaUser     = "alice"
	KafkaPassword = "pass, \"word\" = 1"
)

// A SecureKafka is a private Kafka of one node that listens for clients who authenticate, too. It has access rules: all
// is allowed to [KafkaUser], to who has the client's certificate of Certificates, and to who needs no authentication;
// other users may do what they are granted by Allow.
type SecureKafka struct {
	*KafkaCluster
	Certificates
	SASL       string // address of a listener that demands SASL without TLS: PLAIN or SCRAM-SHA-256
	SASLTLS    string // of one that demands SASL over TLS: PLAIN or SCRAM-SHA-512
	TLS        string // of one that demands the client's certificate
	Expired    string // of one like SASLTLS whose certificate is out of date
	SelfSigned string // of one like SASLTLS whose certificate vouches for itself

	admin sarama.ClusterAdmin
	front *Proxy // of TLS, where there is one
	tls   int    // port of the listener behind it
}

// StartSecureKafka starts it; it ends with t. All of its mechanisms know [KafkaUser]. Where opts are Proxied, TLS is the
// address of a proxy, too.
func StartSecureKafka(t testing.TB, opts KafkaOptions) *SecureKafka {
	t.Helper()
	ports := reservePorts(t, 5)
	k := &SecureKafka{
		Certificates: NewCertificates(t), SASL: loopback(ports[0]), SASLTLS: loopback(ports[1]), TLS: loopback(ports[2]),
		Expired: loopback(ports[3]), SelfSigned: loopback(ports[4]), tls: ports[2],
	}
	if opts.Proxied {
		k.front = NewProxy(t, k.TLS)
		k.TLS = k.front.Addr()
	}
	opts.listeners = k.properties
	k.KafkaCluster = StartKafka(t, opts)
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	var err error
	k.admin, err = sarama.NewClusterAdmin(k.Brokers(), cfg)
	must(t, "connect for credentials", err)
	t.Cleanup(func() { _ = k.admin.Close() })
	k.AddUser(KafkaUser)
	return k
}

// TLSProxy is what KafkaOptions.Proxied put in front of TLS, or nil.
func (k *SecureKafka) TLSProxy() *Proxy { return k.front }

// properties add the listeners to those of n.
func (k *SecureKafka) properties(n kafkaNode) []string {
	const module = "org.apache.kafka.common.security."
	listeners := func(tls string) string {
		return fmt.Sprintf("CLIENT://%s,BROKER://%s,CONTROLLER://%s,SASL://%s,SASLTLS://%s,TLS://%s,EXPIRED://%s,SELFSIGNED://%s",
			loopback(n.client), loopback(n.broker), loopback(n.controller), k.SASL, k.SASLTLS, tls, k.Expired, k.SelfSigned)
	}
	lines := []string{
		"listeners=" + listeners(loopback(k.tls)),
		"advertised.listeners=" + listeners(k.TLS),
		"listener.security.protocol.map=CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT," +
			"SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,TLS:SSL,EXPIRED:SASL_SSL,SELFSIGNED:SASL_SSL",
		"listener.name.tls.ssl.client.auth=required",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS;User:" + KafkaUser + ";User:CN=" + clientName,
	}
	for name, file := range map[string]string{
		"tls": "server.pem", "sasltls": "server.pem", "expired": "expired.pem", "selfsigned": "selfsigned.pem",
	} {
		prefix := "listener.name." + name + ".ssl."
		lines = append(lines,
			prefix+"keystore.type=PEM", prefix+"keystore.location="+filepath.Join(k.dir, file),
			prefix+"truststore.type=PEM", prefix+"truststore.location="+k.CAFile)
	}
	quoted := strings.ReplaceAll(KafkaPassword, `"`, `\\"`)
	for name, hash := range map[string]string{"sasl": "256", "sasltls": "512", "expired": "512", "selfsigned": "512"} {
		prefix := "listener.name." + name + "."
		lines = append(lines,
			prefix+"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-"+hash,
			prefix+"plain.sasl.jaas.config="+module+`plain.PlainLoginModule required user_`+KafkaUser+`="`+quoted+`";`,
			prefix+"scram-sha-"+hash+".sasl.jaas.config="+module+"scram.ScramLoginModule required;")
	}
	return lines
}
