package watermillkafka

import (
	"errors"
	"log/slog"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Settings are the keys of the section durable.watermill-kafka of a configuration file; see Config.
type Settings struct {
	Brokers         []string        `yaml:"brokers" zero:"required" doc:"host:port of some brokers; the others are found" example:"[kafka-1:9092, kafka-2:9092]"`
	ClientID        string          `yaml:"client_id" doc:"name in the logs and quotas of the brokers" example:"orders-api"`
	TLS             settings.TLS    `yaml:"tls"`
	User            string          `yaml:"user" zero:"no login" doc:"who logs in (SASL PLAIN)" example:"orders"`
	Password        settings.Secret `yaml:"password" zero:"no login" doc:"of user; a secret" example:"${KAFKA_PASSWORD}"`
	MaxMessageBytes int             `yaml:"max_message_bytes" min:"1" unit:"bytes" doc:"of a message; message.max.bytes of the brokers must be 2048 larger" example:"4194304"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{ClientID: DefaultClientID, MaxMessageBytes: DefaultMaxMessageBytes}
}

// RealtimeSettings are the keys of the section realtime.watermill-kafka.
type RealtimeSettings struct {
	Settings `yaml:",inline"`
	Topic    string `yaml:"topic" doc:"that carries the notifications of all channels" example:"orders.notifications"`
}

// RealtimeDefaults are the settings of an empty section.
func RealtimeDefaults() RealtimeSettings {
	return RealtimeSettings{Settings: Defaults(), Topic: realtime.DefaultTopic}
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	for _, b := range s.Brokers {
		if err := settings.Address("brokers", b); err != nil {
			return err
		}
	}
	return settings.First(s.TLS.Check(), s.config().check())
}

// Check returns a *durable.InvalidError that names a key.
func (s RealtimeSettings) Check() error {
	if s.Topic == "" {
		return s.Settings.Check()
	}
	if durable.CheckTopic(s.Topic) != nil {
		return durable.Invalid("topic", s.Topic, "use letters, digits, '.', '_' and '-'")
	}
	return s.Settings.Check()
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
		Brokers: s.Brokers, ClientID: s.ClientID, User: s.User, Password: s.Password.Reveal(), MaxMessageBytes: s.MaxMessageBytes,
	}
}

// Blame names the setting that an error of Open points at.
func Blame(err error) error {
	var invalid *durable.InvalidError
	switch {
	case errors.As(err, &invalid):
		return &settings.Blamed{Setting: invalid.Field, Err: err}
	case errors.Is(err, durable.ErrUnavailable):
		return &settings.Blamed{Setting: "brokers", Err: err}
	default:
		return err
	}
}
