package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Settings are the keys of the section durable.kafka of a configuration file; see Config.
type Settings struct {
	Brokers          []string      `yaml:"brokers"` // required
	ClientID         string        `yaml:"client_id"`
	TLS              settings.TLS  `yaml:"tls"`
	SASL             SASLSettings  `yaml:"sasl"`
	AppendTimeout    time.Duration `yaml:"append_timeout"`
	DialTimeout      time.Duration `yaml:"dial_timeout"`
	OpenTimeout      time.Duration `yaml:"open_timeout"`
	SessionTimeout   time.Duration `yaml:"session_timeout"`
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout"`
	CommitInterval   time.Duration `yaml:"commit_interval"`
	PartitionCheck   time.Duration `yaml:"partition_check"`
	StaticMembers    bool          `yaml:"static_members"`
	Partitions       int           `yaml:"partitions"`
	Replication      int           `yaml:"replication"`
	MaxMessageBytes  int           `yaml:"max_message_bytes"`
}

// SASLSettings are the keys of the section sasl.
type SASLSettings struct {
	Mechanism string `yaml:"mechanism"`
	User      string `yaml:"user"`
	Password  string `yaml:"password"`
}

// Check returns an error in which errors.As finds a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	for _, b := range s.Brokers {
		if err := settings.Address("brokers", b); err != nil {
			return err
		}
	}
	if err := s.TLS.Check(); err != nil {
		return err
	}
	return s.config().Validate()
}

// Config is what Open takes. It reads the files that TLS names.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	c := s.config()
	c.Logger = logger
	var err error
	c.TLS, err = s.TLS.Config()
	return c, err
}

func (s Settings) config() Config {
	return Config{
		Brokers: s.Brokers, ClientID: s.ClientID,
		SASL:          SASL{Mechanism: s.SASL.Mechanism, User: s.SASL.User, Password: s.SASL.Password},
		AppendTimeout: s.AppendTimeout, DialTimeout: s.DialTimeout, OpenTimeout: s.OpenTimeout,
		SessionTimeout: s.SessionTimeout, RebalanceTimeout: s.RebalanceTimeout, CommitInterval: s.CommitInterval,
		PartitionCheck: s.PartitionCheck, StaticMembers: s.StaticMembers,
		Partitions: s.Partitions, Replication: s.Replication, MaxMessageBytes: s.MaxMessageBytes,
	}
}

// Blame names the setting that an error of Open points at, "" where it points at none.
func (s Settings) Blame(err error) string {
	var invalid *durable.InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalid.Field
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return "sasl.password"
	case errors.Is(err, sarama.ErrUnsupportedSASLMechanism):
		return "sasl.mechanism"
	case isTLS(err):
		return "tls"
	case errors.Is(err, durable.ErrUnavailable):
		return "brokers"
	default:
		return ""
	}
}

// isTLS tells whether err is the failure of a handshake.
func isTLS(err error) bool {
	var header tls.RecordHeaderError
	var remote *net.OpError
	var authority x509.UnknownAuthorityError
	var certificate *tls.CertificateVerificationError
	var hostname x509.HostnameError
	return errors.As(err, &header) || errors.As(err, &remote) && remote.Op == "remote error" || errors.As(err, &authority) ||
		errors.As(err, &certificate) || errors.As(err, &hostname)
}
