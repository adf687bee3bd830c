package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

const (
	sourceType = "ticket"

	fieldHappened = "whatHappened" // such as "ticket received"
	fieldTicket   = "ticketID"
	fieldData     = "ticketData"
)

// fieldCodec stores an event as the plain fields of an entry, which any Redis client writes and reads:
//
//	XADD tickets * whatHappened "ticket received" ticketID 42 ticketData "some data"
//
// What else an event has is not stored: its id is what happened to which ticket, so that a repetition is recognized.
type fieldCodec struct{}

var _ redisstream.Marshaller = fieldCodec{}

// Marshal implements redisstream.Marshaller.
func (fieldCodec) Marshal(_ string, msg *message.Message) (map[string]interface{}, error) {
	e, err := durable.EventOf(msg)
	if err != nil {
		return nil, err
	}
	return map[string]interface{}{
		fieldHappened: strings.ReplaceAll(e.Type, ".", " "),
		fieldTicket:   e.SourceID,
		fieldData:     string(e.Data),
	}, nil
}

// Unmarshal implements redisstream.Marshaller.
func (fieldCodec) Unmarshal(values map[string]interface{}) (*message.Message, error) {
	happened, _ := values[fieldHappened].(string)
	ticket, _ := values[fieldTicket].(string)
	data, _ := values[fieldData].(string)
	if happened == "" || ticket == "" {
		return nil, errors.New("the entry has no " + fieldHappened + " or no " + fieldTicket)
	}
	msg, err := ticketEvent(strings.ReplaceAll(happened, " ", "."), ticket, data).Message(ticket)
	if err != nil {
		return nil, fmt.Errorf("the entry is no ticket: %w", err)
	}
	return msg, nil
}

// ticketEvent is what happened to a ticket, once.
func ticketEvent(happened, ticket, data string) durable.Event {
	return durable.Event{
		ID: ticket + "/" + happened, Type: happened, SourceType: sourceType, SourceID: ticket, Data: []byte(data),
	}
}
