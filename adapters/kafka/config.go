package kafka

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// Defaults of Config.
const (
	DefaultClientID         = "dualstream"
	DefaultAppendTimeout    = 10 * time.Second
	DefaultDialTimeout      = 5 * time.Second
	DefaultOpenTimeout      = 5 * time.Second
	DefaultSessionTimeout   = 10 * time.Second
	DefaultRebalanceTimeout = 30 * time.Second
	DefaultCommitInterval   = time.Second
	DefaultPartitionCheck   = 10 * time.Second
	DefaultMaxMessageBytes  = 1 << 20
	DefaultPartitions       = 1
)

// sizeHeadroom is what the record's framing and its key may take of MaxMessageBytes.
const sizeHeadroom = 2048

// Config describes a connection to a cluster. Only Brokers is required.
type Config struct {
	Brokers  []string    // host:port of some brokers
	ClientID string      // shown in the brokers' logs and quotas; defaults to DefaultClientID
	TLS      *tls.Config // nil: plain text
	SASL     SASL        // zero: none

	AppendTimeout time.Duration // longest wait for an acknowledgement; defaults to DefaultAppendTimeout
	DialTimeout   time.Duration // for one connection; defaults to DefaultDialTimeout
	OpenTimeout   time.Duration // for Open as a whole; defaults to DefaultOpenTimeout

	SessionTimeout   time.Duration // silence after which a member is dead; defaults to DefaultSessionTimeout
	RebalanceTimeout time.Duration // for handing over claims; defaults to DefaultRebalanceTimeout
	CommitInterval   time.Duration // between writes of acks; defaults to DefaultCommitInterval
	PartitionCheck   time.Duration // between looks of a group for new partitions; defaults to DefaultPartitionCheck

	// StaticMembers makes Group.Member, which is required then, the group.instance.id: a member that comes back under
	// its name within SessionTimeout has its partitions at once and without a rebalance. In return, what leaves keeps
	// its partitions from the others for that long.
	StaticMembers bool

	Partitions  int // of a topic that CreateTopic makes; defaults to DefaultPartitions
	Replication int // copies of such a topic; defaults to the broker's default (-1)

	// MaxMessageBytes bounds a record with its framing, and a batch of records of one partition; the broker's
	// message.max.bytes must not be smaller. Append takes messages of 2048 bytes less. Defaults to
	// DefaultMaxMessageBytes.
	MaxMessageBytes int

	// Marshaler replaces the wire format. A record without a key gets durable.Key. Defaults to the format of
	// watermill-kafka's DefaultMarshaler.
	Marshaler kafka.MarshalerUnmarshaler

	// PlainRecords takes records without any headers, which other clients write, as messages with an empty UUID and no
	// metadata. Else such a record is a foreign entry: it is delivered with DecodeErr and its value as the payload. A
	// Marshaler decides by itself. Defaults to false.
	PlainRecords bool

	// Sarama may change the configuration of every client, last of all. What the package relies on (acknowledgements,
	// idempotence, isolation) must stay. Of the section Producer only Compression, CompressionLevel, MaxMessageBytes
	// and Timeout mean something: appending has its own way of forming batches, placing and repeating.
	Sarama func(*sarama.Config)

	Logger *slog.Logger // defaults to slog.Default()

	beat   time.Duration   // between heartbeats, in tests; 0: as SessionTimeout allows
	dialer *dialer         // of a backend; its clients share it
	files  *settings.Files // instead of TLS, while that is what they held, filed; nil: there are none
	filed  *tls.Config
}

func (c Config) filled() Config {
	def(&c.ClientID, DefaultClientID)
	def(&c.AppendTimeout, DefaultAppendTimeout)
	def(&c.DialTimeout, DefaultDialTimeout)
	def(&c.OpenTimeout, DefaultOpenTimeout)
	def(&c.SessionTimeout, DefaultSessionTimeout)
	def(&c.RebalanceTimeout, DefaultRebalanceTimeout)
	def(&c.CommitInterval, DefaultCommitInterval)
	def(&c.PartitionCheck, DefaultPartitionCheck)
	def(&c.MaxMessageBytes, DefaultMaxMessageBytes)
	def(&c.Partitions, DefaultPartitions)
	def(&c.Replication, -1)
	if c.SASL.User != "" {
		def(&c.SASL.Mechanism, SASLPlain)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.TLS != c.filed {
		c.files = nil // the program replaced it
	}
	return c
}

func def[T comparable](p *T, d T) {
	var zero T
	if *p == zero {
		*p = d
	}
}

// Validate returns an error that matches durable.ErrInvalid and names every setting that is not acceptable.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, durable.Invalid("brokers", "", "name at least one broker as host:port"))
	}
	for _, b := range c.Brokers {
		if b == "" {
			errs = append(errs, durable.Invalid("brokers", b, "name each broker as host:port"))
		}
	}
	errs = append(errs, c.SASL.validate()...)
	for _, s := range []struct {
		name  string
		value time.Duration
	}{
		{"append_timeout", c.AppendTimeout},
		{"dial_timeout", c.DialTimeout},
		{"open_timeout", c.OpenTimeout},
		{"session_timeout", c.SessionTimeout},
		{"rebalance_timeout", c.RebalanceTimeout},
		{"commit_interval", c.CommitInterval},
		{"partition_check", c.PartitionCheck},
	} {
		if s.value < 0 || s.value > 0 && s.value < 10*time.Millisecond {
			errs = append(errs, durable.Invalid(s.name, s.value.String(), "use at least 10ms, or 0 for the default"))
		}
	}
	if n := c.MaxMessageBytes; n != 0 && n <= 2*sizeHeadroom {
		errs = append(errs, durable.Invalid("max_message_bytes", strconv.Itoa(n), "use more than 4096, or 0 for the default"))
	}
	if c.Partitions < 0 {
		errs = append(errs, durable.Invalid("partitions", strconv.Itoa(c.Partitions), "use a positive number, or 0 for the default"))
	}
	if c.Replication < -1 {
		errs = append(errs, durable.Invalid("replication", strconv.Itoa(c.Replication), "use a positive number, or 0 for the broker's default"))
	}
	return errors.Join(errs...)
}
