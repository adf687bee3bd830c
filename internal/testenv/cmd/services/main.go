// Command services starts, keeps and ends the servers that tests share.
//
//	services up      start them, print their addresses as lines for a shell, keep them until interrupted
//	services down    end them now
//	services status  print the addresses of those that run, as up does
package main

import (
	"context"
	"fmt"
	"io"
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
	export(os.Stdout, "redis", []string{redis})
	export(os.Stdout, "kafka", brokers)
	fmt.Println("# kept until interrupted: paste the lines above into another shell")
	<-ctx.Done()
	return nil
}

func status(ctx context.Context) error {
	for _, s := range testenv.SharedStatus(ctx) {
		export(os.Stdout, s.Kind, s.Addrs)
	}
	return nil
}

// export writes the address of a kind of server as a line for a shell, in the variable that the examples read.
func export(w io.Writer, kind string, addrs []string) {
	name := "REDIS_ADDR"
	if strings.HasPrefix(kind, "kafka") { // a kind names a version, too
		name = "KAFKA_BROKERS"
	}
	if len(addrs) == 0 {
		fmt.Fprintf(w, "# %s does not run\n", kind)
		return
	}
	fmt.Fprintf(w, "export %s=%s\n", name, strings.Join(addrs, ","))
}
