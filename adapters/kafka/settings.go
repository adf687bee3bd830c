package kafka

import (
	"errors"
	"log/slog"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Settings are the keys of the section durable.kafka of a configuration file; see Config.
type Settings struct {
	Brokers          []string      `yaml:"brokers" zero:"required" doc:"host:port of some brokers; the others are found" example:"[kafka-1:9092, kafka-2:9092]"`
	ClientID         string        `yaml:"client_id" doc:"name in the logs and quotas of the brokers" example:"orders-api"`
	TLS              settings.TLS  `yaml:"tls"`
	SASL             SASLSettings  `yaml:"sasl"`
	AppendTimeout    time.Duration `yaml:"append_timeout" min:"10ms" doc:"longest wait for the acknowledgement of an append" example:"5s"`
	DialTimeout      time.Duration `yaml:"dial_timeout" min:"10ms" doc:"for one connection" example:"2s"`
	OpenTimeout      time.Duration `yaml:"open_timeout" min:"10ms" doc:"for opening the backend as a whole" example:"10s"`
	SessionTimeout   time.Duration `yaml:"session_timeout" min:"10ms" doc:"silence after which a member of a group counts as dead" example:"30s"`
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout" min:"10ms" doc:"for handing partitions over to another member" example:"1m"`
	CommitInterval   time.Duration `yaml:"commit_interval" min:"10ms" doc:"between writes of acknowledged positions" example:"500ms"`
	PartitionCheck   time.Duration `yaml:"partition_check" min:"10ms" doc:"between looks of a group for new partitions" example:"1m"`
	StaticMembers    bool          `yaml:"static_members" doc:"a member that comes back under its name within session_timeout has its partitions at once" example:"true"`
	Partitions       int           `yaml:"partitions" min:"1" unit:"partitions" doc:"of a topic that is made and does not say" example:"8"`
	Replication      int           `yaml:"replication" min:"-1" unit:"copies" zero:"that of the brokers" doc:"of every partition of a topic that is made and does not say" example:"3"`
	PlainRecords     bool          `yaml:"plain_records" doc:"records without any headers, of producers that know only keys and values, are messages; else they count as undecodable" example:"true"`
	MaxMessageBytes  int           `yaml:"max_message_bytes" min:"4097" unit:"bytes" doc:"of a record with its framing; message.max.bytes of the brokers must not be smaller" example:"4194304"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{
		ClientID: DefaultClientID, AppendTimeout: DefaultAppendTimeout, DialTimeout: DefaultDialTimeout,
		OpenTimeout: DefaultOpenTimeout, SessionTimeout: DefaultSessionTimeout, RebalanceTimeout: DefaultRebalanceTimeout,
		CommitInterval: DefaultCommitInterval, PartitionCheck: DefaultPartitionCheck, Partitions: DefaultPartitions,
		MaxMessageBytes: DefaultMaxMessageBytes,
	}
}

// SASLSettings are the keys of the section sasl.
type SASLSettings struct {
	Mechanism    string          `yaml:"mechanism" oneof:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" zero:"PLAIN where user is set" doc:"how the password is shown to the brokers" example:"SCRAM-SHA-512"`
	User         string          `yaml:"user" zero:"no login" doc:"who logs in" example:"orders"`
	Password     settings.Secret `yaml:"password" zero:"no login" doc:"of user; a secret" example:"${KAFKA_PASSWORD}"`
	PasswordFile string          `yaml:"password_file" doc:"file that holds the password, instead of password" example:"/run/secrets/kafka"`
}

// Check returns an error in which errors.As finds a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	for _, b := range s.Brokers {
		if err := settings.Address("brokers", b); err != nil {
			return err
		}
	}
	err := settings.First(s.TLS.Check(), settings.OneSecret("sasl.password", s.SASL.User != "", s.SASL.Password, s.SASL.PasswordFile))
	if err != nil {
		return err
	}
	c := s.config()
	if s.SASL.PasswordFile != "" {
		c.SASL.Password = s.SASL.PasswordFile // only that there is one counts
	}
	return c.Validate()
}

// Config is what Open takes. It reads the files of secrets and of TLS, the latter again when they change, unless the
// program puts another Config.TLS in its place.
func (s Settings) Config(logger *slog.Logger) (Config, error) {
	c := s.config()
	c.Logger = logger
	var err error
	if c.files, err = s.TLS.Files(); err != nil {
		return c, err
	}
	c.TLS = c.files.Config()
	c.filed = c.TLS
	c.SASL.Password, err = settings.SecretOf(s.SASL.Password, "sasl.password_file", s.SASL.PasswordFile)
	return c, err
}

func (s Settings) config() Config {
	return Config{
		Brokers: s.Brokers, ClientID: s.ClientID,
		SASL:          SASL{Mechanism: s.SASL.Mechanism, User: s.SASL.User, Password: s.SASL.Password.Reveal()},
		AppendTimeout: s.AppendTimeout, DialTimeout: s.DialTimeout, OpenTimeout: s.OpenTimeout,
		SessionTimeout: s.SessionTimeout, RebalanceTimeout: s.RebalanceTimeout, CommitInterval: s.CommitInterval,
		PartitionCheck: s.PartitionCheck, StaticMembers: s.StaticMembers,
		Partitions: s.Partitions, Replication: s.Replication, MaxMessageBytes: s.MaxMessageBytes,
		PlainRecords: s.PlainRecords,
	}
}

// Blame names the setting that an error of Open points at, "" where it points at none.
func (s Settings) Blame(err error) string {
	var invalid *durable.InvalidError
	handshake, _ := settings.Handshake(err)
	switch {
	case errors.As(err, &invalid):
		return invalid.Field
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return "sasl.password"
	case errors.Is(err, sarama.ErrUnsupportedSASLMechanism):
		return "sasl.mechanism"
	case handshake != "":
		return handshake
	case errors.Is(err, durable.ErrUnavailable):
		return "brokers"
	default:
		return ""
	}
}
