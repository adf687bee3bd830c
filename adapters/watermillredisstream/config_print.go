package watermillredisstream

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dualstream/dualstream/adapters/internal/settings"
)

// String shows the settings of the connection with the password masked.
func (c Config) String() string {
	return fmt.Sprintf("{addrs:%s master:%s username:%s password:%s db:%d tls:%t}",
		strings.Join(c.Addrs, ","), c.Master, c.Username, settings.Mask(c.Password), c.DB, c.TLS != nil)
}

// GoString is String, so that %#v shows no password either.
func (c Config) GoString() string { return c.String() }

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
