// Command services starts, keeps and ends the servers that tests share.
//
//	services up      start them, print their addresses, keep them until interrupted
//	services down    end them now
//	services status  print the addresses of those that run
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/dualstream/dualstream/internal/testenv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) != 1 {
		return fmt.Errorf("usage: services up|down|status")
	}
	switch args[0] {
	case "up":
		return up(ctx)
	case "down":
		return testenv.StopShared(ctx)
	case "status":
		return status(ctx)
	}
	return fmt.Errorf("unknown command %q: want up, down or status", args[0])
}

func up(ctx context.Context) error {
	redis, releaseRedis, err := testenv.SharedRedis(ctx)
	if err != nil {
		return err
	}
	defer releaseRedis()
	brokers, releaseKafka, err := testenv.SharedKafka(ctx)
	if err != nil {
		return err
	}
	defer releaseKafka()
	fmt.Println("redis", redis)
	fmt.Println("kafka", strings.Join(brokers, ","))
	fmt.Println("kept until interrupted")
	<-ctx.Done()
	return nil
}

func status(ctx context.Context) error {
	for _, s := range testenv.SharedStatus(ctx) {
		state := strings.Join(s.Addrs, ",")
		if state == "" {
			state = "not running"
		}
		fmt.Println(s.Kind, state)
	}
	return nil
}
