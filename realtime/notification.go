package realtime

import "time"

// Notification says that an event exists: ids only, never data. The channel is where it is broadcast and does not
// travel inside.
type Notification struct {
	Channel     string
	ID          string    // id of the event; required
	Type        string    // type of the event
	SourceType  string    // kind of its source
	SourceID    string    // its source
	Time        time.Time // of the event; zero where unknown
	Topic       string    // topic of the durable stream; "" where it was not stored
	Position    string    // position in it; "" where unknown
	TraceParent string    // W3C trace context; "" where there is none
}

// MaxSize is the largest encoded notification in bytes.
const MaxSize = 1024
