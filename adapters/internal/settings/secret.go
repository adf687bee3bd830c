package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// masked is what stands for a secret.
const masked = "***"

// mostSecret is how many bytes a file with a secret has at most.
const mostSecret = 64 << 10

// Secret is a text that no way of printing shows. Reveal gives it.
type Secret string

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String is a mask, or empty where there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString is String, so that %#v shows nothing either.
func (s Secret) GoString() string { return s.String() }

// Format prints String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText is String, for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Mask is a secret of a configuration as its texts show it.
func Mask(secret string) string { return Secret(secret).String() }

// OneSecret refuses a secret that is given twice, and one that is required and not given.
func OneSecret(key string, required bool, secret Secret, file string) error {
	switch {
	case secret != "" && file != "":
		return durable.Invalid(key+"_file", file, "set it or "+key+", not both")
	case required && secret == "" && file == "":
		return durable.Invalid(key, "", "set it or "+key+"_file: a user is set")
	default:
		return nil
	}
}

// SecretOf is secret, or what the file holds, without line breaks at its end. key is that of the file.
func SecretOf(secret Secret, key, file string) (string, error) {
	if file == "" {
		return secret.Reveal(), nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", &Blamed{key, fmt.Errorf("setting %q: %w", key, err)}
	}
	if !info.Mode().IsRegular() || info.Size() > mostSecret {
		return "", &Blamed{key, fmt.Errorf("setting %q: %q is no file of at most 64 KiB", key, file)}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", &Blamed{key, fmt.Errorf("setting %q: %w", key, err)}
	}
	found := strings.TrimRight(string(text), "\r\n")
	if found == "" {
		return "", &Blamed{key, fmt.Errorf("setting %q: %w", key, errors.New("the file is empty"))}
	}
	return found, nil
}
