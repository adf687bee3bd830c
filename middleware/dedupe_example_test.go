package middleware_test

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/middleware"
)

// How do I handle an event once, although it is delivered twice?
func ExampleDedupe_howDoIHandleAnEventOnce() {
	once := &middleware.Dedupe{Group: "billing"}
	handler := once.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("charging for", msg.UUID)
		return nil, nil
	})
	for range 3 {
		if _, err := handler(message.NewMessage("order-42", nil)); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("duplicates:", once.Stats().Duplicates)
	// Output:
	// charging for order-42
	// duplicates: 2
}
