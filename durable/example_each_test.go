package durable_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

func ExampleEachOfBatch_howDoIUseAMiddlewareForBatches() {
	skipMissing := func(next message.HandlerFunc) message.HandlerFunc { // written for single messages
		return func(msg *message.Message) ([]*message.Message, error) {
			out, err := next(msg)
			if errors.Is(err, errMissing) {
				fmt.Println("skipped:", msg.UUID)
				return nil, nil
			}
			return out, err
		}
	}
	handler := durable.EachOfBatch(skipMissing, func(_ context.Context, ds []durable.Delivery) []error {
		fmt.Println("handled together:", len(ds))
		return []error{nil, errMissing}
	})
	fmt.Println(handler(context.Background(), []durable.Delivery{
		{Message: message.NewMessage("1", nil)}, {Message: message.NewMessage("2", nil)},
	}))
	// Output:
	// handled together: 2
	// skipped: 2
	// [<nil> <nil>]
}

var errMissing = errors.New("no such customer")

func ExampleAttributes_whatIsTheTypeOfAStructuredEvent() {
	msg := message.NewMessage("1", []byte(`{"specversion":"1.0","id":"7","type":"order.paid","source":"https://shop.example"}`))
	msg.Metadata[durable.MetaContentType] = durable.ContentTypeStructured // written by another producer
	fmt.Printf("%q\n", msg.Metadata[durable.MetaType])
	fmt.Printf("%q\n", durable.Attributes(msg)[durable.MetaType])
	// Output:
	// ""
	// "order.paid"
}
