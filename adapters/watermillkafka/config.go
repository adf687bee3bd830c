package watermillkafka

import (
	"crypto/tls"
	"log/slog"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"

	"github.com/dualstream/dualstream/durable"
)

// Config describes a cluster and Watermill's adapter to it. Only Brokers is required.
type Config struct {
	Brokers  []string    // host:port of some brokers
	ClientID string      // shown in the brokers' logs and quotas; defaults to DefaultClientID
	TLS      *tls.Config // nil: plain text
	User     string      // of SASL PLAIN; "": none. For other mechanisms use Sarama
	Password string

	// MaxMessageBytes bounds durable.Size of a message; the broker's message.max.bytes must be somewhat larger.
	// Defaults to DefaultMaxMessageBytes.
	MaxMessageBytes int

	// Marshaler is the wire format. Defaults to Watermill's DefaultMarshaler with durable.Key as the record's key.
	Marshaler kafka.MarshalerUnmarshaler

	// Sarama may change the configuration of every client, last of all.
	Sarama func(*sarama.Config)

	Logger *slog.Logger // defaults to slog.Default()
}

// The defaults of Config.
const (
	DefaultClientID        = "watermill"
	DefaultMaxMessageBytes = 1<<20 - framing // within the default of the brokers
)

// framing is what a record takes beyond durable.Size.
const framing = 2048

// check returns a *durable.InvalidError that names a setting.
func (c Config) check() error {
	if len(c.Brokers) == 0 {
		return durable.Invalid("brokers", "", "name at least one broker as host:port")
	}
	if c.User == "" && c.Password != "" {
		return durable.Invalid("user", "", "set it: password is set")
	}
	if c.User != "" && c.Password == "" {
		return durable.Invalid("password", "", "set it: user is set")
	}
	if c.MaxMessageBytes < 0 {
		return durable.Invalid("max_message_bytes", "negative", "write a number from 1, or remove the key for the default")
	}
	return nil
}

// client applies to s what all clients have in common.
func (c Config) client(s *sarama.Config) *sarama.Config {
	s.Version = sarama.V2_8_0_0
	if c.ClientID != "" {
		s.ClientID = c.ClientID
	}
	if c.TLS != nil {
		s.Net.TLS.Enable, s.Net.TLS.Config = true, c.TLS.Clone()
	}
	if c.User != "" {
		s.Net.SASL.Enable, s.Net.SASL.Mechanism = true, sarama.SASLTypePlaintext
		s.Net.SASL.User, s.Net.SASL.Password = c.User, c.Password
	}
	if c.Sarama != nil {
		c.Sarama(s)
	}
	return s
}

// producer waits for all replicas, and places keys as the Java client does. Watermill sends one message at a time.
func (c Config) producer() *sarama.Config {
	s := kafka.DefaultSaramaSyncPublisherConfig()
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Idempotent = true
	s.Net.MaxOpenRequests = 1 // sarama's condition for idempotence
	s.Producer.Partitioner = sarama.NewMurmur2Partitioner
	s.Producer.MaxMessageBytes = max(c.maxMessageBytes()+framing, s.Producer.MaxMessageBytes)
	return c.client(s)
}

func (c Config) maxMessageBytes() int {
	if c.MaxMessageBytes == 0 {
		return DefaultMaxMessageBytes
	}
	return c.MaxMessageBytes
}

// consumer begins at offset where nothing is committed.
func (c Config) consumer(offset int64) *sarama.Config {
	s := kafka.DefaultSaramaSubscriberConfig()
	s.Consumer.Offsets.Initial = offset
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	return c.client(s)
}
