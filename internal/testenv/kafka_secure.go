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

// A SecureKafka is a private Kafka of one node that listens for clients who authenticate, too.
type SecureKafka struct {
	*KafkaCluster
	Certificates
	SASL    string // address of a listener that demands SASL without TLS: PLAIN or SCRAM-SHA-256
	SASLTLS string // of one that demands SASL over TLS: PLAIN or SCRAM-SHA-512
	TLS     string // of one that demands the client's certificate
}

// StartSecureKafka starts it; it ends with t. All of its mechanisms know [KafkaUser].
func StartSecureKafka(t testing.TB) *SecureKafka {
	t.Helper()
	ports, err := freePorts(3)
	must(t, "find ports", err)
	k := &SecureKafka{
		Certificates: NewCertificates(t), SASL: loopback(ports[0]), SASLTLS: loopback(ports[1]), TLS: loopback(ports[2]),
	}
	k.KafkaCluster = StartKafka(t, KafkaOptions{listeners: k.properties})
	admin, err := sarama.NewClusterAdmin(k.Brokers(), scramConfig())
	must(t, "connect for credentials", err)
	defer func() { _ = admin.Close() }()
	for _, m := range []sarama.ScramMechanismType{sarama.SCRAM_MECHANISM_SHA_256, sarama.SCRAM_MECHANISM_SHA_512} {
		res, err := admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
			Name: KafkaUser, Mechanism: m, Iterations: 4096, Salt: []byte("salt of the user"), Password: []byte(KafkaPassword),
		}})
		must(t, "store credentials", err)
		if res[0].ErrorCode != sarama.ErrNoError {
			t.Fatalf("testenv: store credentials: %v", res[0].ErrorCode)
		}
	}
	return k
}

func scramConfig() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	return cfg
}

// properties add the listeners to those of n.
func (k *SecureKafka) properties(n kafkaNode) []string {
	const module = "org.apache.kafka.common.security."
	all := fmt.Sprintf("CLIENT://%s,BROKER://%s,SASL://%s,SASLTLS://%s,TLS://%s",
		loopback(n.client), loopback(n.broker), k.SASL, k.SASLTLS, k.TLS)
	lines := []string{
		"listeners=" + all + ",CONTROLLER://" + loopback(n.controller),
		"advertised.listeners=" + all + ",CONTROLLER://" + loopback(n.controller),
		"listener.security.protocol.map=CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT," +
			"SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,TLS:SSL",
		"listener.name.tls.ssl.client.auth=required",
	}
	for _, name := range []string{"tls", "sasltls"} {
		prefix := "listener.name." + name + ".ssl."
		lines = append(lines,
			prefix+"keystore.type=PEM", prefix+"keystore.location="+filepath.Join(k.dir, "server.pem"),
			prefix+"truststore.type=PEM", prefix+"truststore.location="+k.CAFile)
	}
	quoted := strings.ReplaceAll(KafkaPassword, `"`, `\\"`)
	for name, hash := range map[string]string{"sasl": "256", "sasltls": "512"} {
		prefix := "listener.name." + name + "."
		lines = append(lines,
			prefix+"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-"+hash,
			prefix+"plain.sasl.jaas.config="+module+`plain.PlainLoginModule required user_`+KafkaUser+`="`+quoted+`";`,
			prefix+"scram-sha-"+hash+".sasl.jaas.config="+module+"scram.ScramLoginModule required;")
	}
	return lines
}
