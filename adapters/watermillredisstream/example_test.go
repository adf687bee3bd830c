package watermillredisstream_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/watermillredisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func ExampleOpen() {
	ctx := context.Background()
	addr, release, err := testenv.SharedRedis(ctx) // that of a test; yours is such as "redis:6379"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	backend, err := watermillredisstream.Open(ctx, watermillredisstream.Config{Addrs: []string{addr}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()
	msg, err := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = backend.Append(ctx, "example-"+durable.NewID(), msg)
	fmt.Println(err, backend.Capabilities().Backend)
	// Output: <nil> watermill-redisstream
}
