package durable

import (
	"context"
	"encoding/json"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Codec turns values into payloads and back. Its methods are called from many goroutines.
type Codec interface {
	// ContentType is the media type of what Marshal returns.
	ContentType() string
	// Marshal returns v as a payload.
	Marshal(v any) ([]byte, error)
	// Unmarshal reads data into v, a pointer.
	Unmarshal(data []byte, v any) error
}

// JSON is the Codec of encoding/json.
type JSON struct{}

var _ Codec = JSON{}

// ContentType implements Codec.
func (JSON) ContentType() string { return "application/json" }

// Marshal implements Codec.
func (JSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements Codec.
func (JSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// Handle makes a handler of messages from a handler of values, which c (JSON{} where it is nil) reads from the payload.
// The ctx that h gets is the message's; see Process and DeliveryOf. A payload that cannot be read, or that the backend
// could not decode, is an error of the handler that matches ErrUndecodable.
func Handle[T any](c Codec, h func(ctx context.Context, v T, msg *message.Message) error) message.NoPublishHandlerFunc {
	if c == nil {
		c = JSON{}
	}
	return func(msg *message.Message) error {
		if err := decodeErr(msg); err != nil {
			return err
		}
		var v T
		if err := c.Unmarshal(msg.Payload, &v); err != nil {
			return Undecodable(err)
		}
		return h(msg.Context(), v, msg)
	}
}
