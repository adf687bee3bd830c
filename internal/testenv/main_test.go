package testenv

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

const (
	soon = 30 * time.Second
)

func TestMain(m *testing.M) {
	Main(m, map[string]func(){
		"user":  useRedis,
		"fail":  func() { os.Exit(3) },
		"count": count,
		"own":   own,
	})
}

// useRedis holds the shared Redis until it is killed.
func useRedis() {
	addr, release, err := SharedRedis(context.Background())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	defer release()
	fmt.Println("addr", addr)
	select {}
}

// count writes numbers until it is killed.
func count() {
	tick := time.NewTicker(time.Millisecond)
	for i := 0; ; i++ {
		<-tick.C
		fmt.Println("n", i)
	}
}
