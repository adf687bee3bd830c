package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const (
	payloadSize = 256
	sources     = 1000 // distinct keys
	poolSize    = 4000 // a multiple of every batch size, and of sources
)

// pool is what all subjects append, over and over: events of 256 bytes and messages of six metadata entries.
type pool struct {
	events   []durable.Event
	messages []*message.Message
}

func newPool() pool {
	payload := []byte(strings.Repeat("0123456789abcdef", payloadSize/16))
	at := time.Now().UTC()
	var p pool
	for i := range poolSize {
		e := durable.Event{
			ID: durable.NewID(), Type: "order.created", SourceType: "order",
			SourceID: fmt.Sprintf("source-%04d", i%sources), Time: at, Data: payload,
		}
		m := message.NewMessage(e.ID, payload)
		m.Metadata = message.Metadata{
			durable.MetaSpecVersion: "1.0", durable.MetaID: e.ID, durable.MetaType: e.Type, durable.MetaSource: "/order",
			durable.MetaTime: at.Format(time.RFC3339Nano), durable.MetaPartitionKey: e.SourceID,
		}
		p.events = append(p.events, e)
		p.messages = append(p.messages, m)
	}
	return p
}

// window is the next n elements of all after offset done, from the start again after the end.
func window[T any](all []T, done int64, n int) []T {
	at := int(done % int64(len(all)))
	if at+n > len(all) {
		at = 0
	}
	return all[at : at+n]
}

// messagesOf makes messages of events.
func messagesOf(events []durable.Event) ([]*message.Message, error) {
	msgs := make([]*message.Message, len(events))
	for i, e := range events {
		m, err := e.Message("")
		if err != nil {
			return nil, err
		}
		msgs[i] = m
	}
	return msgs, nil
}
