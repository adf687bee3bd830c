// Package watermillkit holds what the adapters on Watermill's own share.
package watermillkit

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// undecodable is the metadata key by which an unmarshaller tells that it could not read an entry. Watermill's
// subscribers end where an unmarshaller fails, and read the same entry again and again.
const undecodable = "_dualstream_undecodable"

// Undecodable is a message of bytes that are none, for DecodeErr.
func Undecodable(raw []byte, err error) *message.Message {
	msg := message.NewMessage("", raw)
	msg.Metadata.Set(undecodable, err.Error())
	return msg
}

// DecodeErr is durable.Watermill.DecodeErr for messages that Undecodable may have made.
func DecodeErr(msg *message.Message) error {
	text, ok := msg.Metadata[undecodable]
	if !ok {
		return nil
	}
	delete(msg.Metadata, undecodable)
	return errors.New(text)
}

// Logger is Watermill's on l (slog.Default() where it is nil). What Watermill says of every subscription and message
// is for debugging, and so is that something ended because it was told to.
func Logger(l *slog.Logger) watermill.LoggerAdapter {
	if l == nil {
		l = slog.Default()
	}
	return calm{watermill.NewSlogLoggerWithLevelMapping(l, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})}
}

// calm is a logger that knows cancellation for no error.
type calm struct{ watermill.LoggerAdapter }

// Error implements watermill.LoggerAdapter.
func (c calm) Error(msg string, err error, fields watermill.LogFields) {
	if errors.Is(err, context.Canceled) {
		c.Debug(msg, fields.Add(watermill.LogFields{"error": err}))
		return
	}
	c.LoggerAdapter.Error(msg, err, fields)
}

// With implements watermill.LoggerAdapter.
func (c calm) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return calm{c.LoggerAdapter.With(fields)}
}
