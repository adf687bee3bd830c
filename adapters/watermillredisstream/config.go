package watermillredisstream

import (
	"crypto/tls"
	"log/slog"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"

	"github.com/dualstream/dualstream/durable"
)

// Config describes a server and Watermill's adapter to it. Only Addrs is required.
type Config struct {
	// Addrs is one server, the Sentinels of Master, or several nodes of a cluster, as host:port.
	Addrs    []string
	Master   string // what the Sentinels call the server; "": Addrs are not Sentinels
	Username string
	Password string
	DB       int
	TLS      *tls.Config // nil: plain text

	// MaxLen is about the number of entries that a publish leaves in a stream. Defaults to no bound, and to
	// DefaultRealtimeMaxLen for notifications.
	MaxLen int64

	// ClaimIdle is how long an entry may be with a member before another one, or the same, is given it. Handlers
	// that take longer see events twice. Defaults to DefaultClaimIdle.
	ClaimIdle time.Duration

	// Marshaller is the layout of the entries. Defaults to Watermill's.
	Marshaller redisstream.MarshallerUnmarshaller

	Logger *slog.Logger // defaults to slog.Default()
}

// The defaults of Config.
const (
	DefaultClaimIdle      = redisstream.DefaultMaxIdleTime
	DefaultRealtimeMaxLen = 10_000
)

// check returns a *durable.InvalidError that names a setting.
func (c Config) check() error {
	switch {
	case len(c.Addrs) == 0:
		return durable.Invalid("addrs", "", "name a server as host:port")
	case c.Username != "" && c.Password == "":
		return durable.Invalid("password", "", "set it: username is set")
	case c.DB < 0:
		return durable.Invalid("db", strconv.Itoa(c.DB), "write a number from 0")
	case c.MaxLen < 0:
		return durable.Invalid("max_len", strconv.FormatInt(c.MaxLen, 10), "write a number from 1, or remove the key")
	case c.ClaimIdle < 0 || c.ClaimIdle > 0 && c.ClaimIdle < time.Millisecond:
		return durable.Invalid("claim_idle", c.ClaimIdle.String(), "write at least 1ms, or remove the key for the default")
	}
	return nil
}

func (c Config) filled() Config {
	if c.ClaimIdle == 0 {
		c.ClaimIdle = DefaultClaimIdle
	}
	if c.Marshaller == nil {
		c.Marshaller = redisstream.DefaultMarshallerUnmarshaller{}
	}
	return c
}
