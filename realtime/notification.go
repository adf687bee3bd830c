package realtime

import (
	"strconv"
	"time"
)

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

// The first second of the year 0 and the last one of 9999, since 1970 in UTC.
const (
	firstSecond = -62_167_219_200
	lastSecond  = 253_402_300_799
)

const textRemedy = "use UTF-8 text without control characters"

// Validate returns an *InvalidError that names the first field that is not acceptable, or nil: a channel as
// [CheckChannel] wants it, an ID, text in every field, a year from 0 to 9999, at most [MaxSize] bytes encoded.
func (n *Notification) Validate() error {
	if err := CheckChannel(n.Channel); err != nil {
		return err
	}
	if n.ID == "" {
		return invalid("ID", "", "use the id of the event")
	}
	switch {
	case !isText(n.ID):
		return invalid("ID", n.ID, textRemedy)
	case !isText(n.Type):
		return invalid("Type", n.Type, textRemedy)
	case !isText(n.SourceType):
		return invalid("SourceType", n.SourceType, textRemedy)
	case !isText(n.SourceID):
		return invalid("SourceID", n.SourceID, textRemedy)
	case !isText(n.Topic):
		return invalid("Topic", n.Topic, textRemedy)
	case !isText(n.Position):
		return invalid("Position", n.Position, textRemedy)
	case !isText(n.TraceParent):
		return invalid("TraceParent", n.TraceParent, textRemedy)
	}
	if at := n.Time.Unix(); at < firstSecond || at > lastSecond {
		return invalid("Time", strconv.Itoa(n.Time.UTC().Year()), "use a year from 0 to 9999")
	}
	return n.checkSize()
}

func (n *Notification) checkSize() error {
	const frame = 160 // more than names, punctuation and time take
	text := len(n.ID) + len(n.Type) + len(n.SourceType) + len(n.SourceID) +
		len(n.Topic) + len(n.Position) + len(n.TraceParent)
	if frame+2*text <= MaxSize { // a byte of valid text takes at most two
		return nil
	}
	var buf [MaxSize + 1]byte
	if size := len(n.AppendJSON(buf[:0])); size > MaxSize {
		return invalid("notification", strconv.Itoa(size)+" bytes", "shorten its ids to at most 1024 bytes in all")
	}
	return nil
}

// CheckNotify checks every element of ns; adapters call it first. The error is an *InvalidError.
func CheckNotify(ns []Notification) error {
	for i := range ns {
		if err := ns[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}
