// Command customadapter publishes an order through two adapters of its own, and handles and hears it. What it stores
// stays in the directory that DATA_DIR names, or data.
//
//	DATA_DIR=$(mktemp -d) go run ./examples/customadapter
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/examples/customadapter/filelog"
	"github.com/dualstream/dualstream/examples/customadapter/sockbus"
	"github.com/dualstream/dualstream/realtime"
)

// openers are the built-in backends and two of our own.
func openers() dual.Openers {
	all := adapters.All()
	all.Durable["filelog"] = dual.DurableOf(filelog.Settings{},
		func(_ context.Context, s filelog.Settings, _ dual.Deps) (durable.Backend, error) {
			return filelog.Open(s)
		})
	all.Realtime["sockbus"] = dual.RealtimeOf(sockbus.Settings{},
		func(_ context.Context, s sockbus.Settings, _ dual.Deps) (realtime.Backend, error) {
			return sockbus.Open(s)
		})
	return all
}

func main() {
	config := flag.String("config", "examples/customadapter/custom.yaml", "configuration `file`")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	err := run(ctx, *config, os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "customadapter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config string, out io.Writer) (err error) {
	cfg, err := dual.Load(config)
	if err != nil {
		return err
	}
	stack, err := dual.Open(ctx, cfg, openers())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Close(ctx)) }()
	listener, err := stack.Realtime.Subscribe(ctx, realtime.Channel("order", "42"))
	if err != nil {
		return err
	}
	receipts, err := stack.Publisher.Publish(ctx, durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "stored at", receipts[0].Position)
	heard, err := listener.Next(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "heard of", heard.Notification.Type, "at", heard.Notification.Position)
	working, done := context.WithCancel(ctx)
	defer done()
	return durable.Process(working, stack.Durable, stack.Group("billing"), func(msg *message.Message) error {
		fmt.Fprintln(out, "handled", msg.Metadata.Get(durable.MetaType))
		done()
		return nil
	}, stack.Process)
}
