package middleware

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Redriven acknowledges events that were redriven for another group, which this one has handled before. Poison does
// it too; a group without a Poison needs it where other groups of its topics redrive.
type Redriven struct {
	// Group that handles. Defaults to the group under durable.Process and on a durable.Subscriber, to the handler's name
	// under a Watermill router on any other.
	Group string
}

// Validate returns nil: there is nothing to get wrong.
func (r Redriven) Validate() error { return nil }

// Middleware wraps h.
func (r Redriven) Middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if msg.Metadata[MetaRedriveGroup] == "" {
			return h(msg)
		}
		ctx := msg.Context()
		d, _ := durable.DeliveryOf(ctx)
		if forOthers(msg, groupOf(ctx, r.Group, d), topicOf(ctx, d)) {
			return nil, nil
		}
		return h(msg)
	}
}
