package dual

import "github.com/dualstream/dualstream/durable"

// Receipt is what became of one event.
type Receipt struct {
	ID       string           // of the event, also where Publish made it
	Topic    string           // where it is stored
	Position durable.Position // in Topic; "" where it was not stored or the backend did not say
	Channels []string         // where it was announced; nil where it was not
	Status   durable.Status   // Stored, Rejected, NotSent or Unknown
	Err      error            // the reason, nil where Stored
	// AfterGap: stored although an earlier event of the same key in the call was not.
	AfterGap bool
	// Announced: the notification was handed to the dispatcher, which drops it where the bus stays away.
	Announced bool
}
