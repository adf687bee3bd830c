package kafka

import (
	"fmt"
	"log/slog"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// The mechanisms of SASL.
const (
	SASLPlain       = sarama.SASLTypePlaintext
	SASLScramSHA256 = sarama.SASLTypeSCRAMSHA256
	SASLScramSHA512 = sarama.SASLTypeSCRAMSHA512
)

// SASL authenticates against the brokers.
type SASL struct {
	// Mechanism is SASLPlain, SASLScramSHA256 or SASLScramSHA512; defaults to SASLPlain where User is set. PLAIN
	// shows the password to whoever sees the connection: without TLS, Open warns of it.
	Mechanism string
	User      string
	Password  string
}

// String shows the settings with the password masked.
func (s SASL) String() string {
	return fmt.Sprintf("{mechanism:%s user:%s password:%s}", s.Mechanism, s.User, settings.Mask(s.Password))
}

// GoString is String, so that %#v shows no password either.
func (s SASL) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s SASL) validate() []error {
	var errs []error
	switch s.Mechanism {
	case "", SASLPlain, SASLScramSHA256, SASLScramSHA512:
	default:
		errs = append(errs, durable.Invalid("sasl.mechanism", s.Mechanism, "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"))
	}
	if s.User == "" && (s.Mechanism != "" || s.Password != "") {
		errs = append(errs, durable.Invalid("sasl.user", "", "set the user"))
	}
	if s.User != "" && s.Password == "" {
		errs = append(errs, durable.Invalid("sasl.password", "", "set the password"))
	}
	return errs
}

// use makes clients with the configuration authenticate.
func (s SASL) use(c *sarama.Config) {
	if s.Mechanism == "" {
		return
	}
	c.Net.SASL.Enable = true
	c.Net.SASL.Mechanism = sarama.SASLMechanism(s.Mechanism)
	c.Net.SASL.User, c.Net.SASL.Password = s.User, s.Password
	c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{mechanism: s.Mechanism} }
}

// scramClient is one SCRAM conversation.
type scramClient struct {
	mechanism string
	*scram.ClientConversation
}

// Begin implements sarama.SCRAMClient.
func (c *scramClient) Begin(user, password, authzID string) error {
	hash := scram.SHA256
	if c.mechanism == SASLScramSHA512 {
		hash = scram.SHA512
	}
	client, err := hash.NewClient(user, password, authzID)
	if err != nil {
		return fmt.Errorf("scram: %w", err)
	}
	c.ClientConversation = client.NewConversation()
	return nil
}
