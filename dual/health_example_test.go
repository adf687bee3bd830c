package dual_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
)

// How does an orchestrator see that a process cannot do its work?
func ExampleHealth_howDoesAnOrchestratorSeeThat() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	health, err := dual.NewHealth(dual.HealthOptions{}, dual.CheckDurable(store), dual.HealthCheck{
		Name: "templates", Check: func(context.Context) error { return errors.New("not loaded yet") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = health.Close(ctx) }()
	// http.Handle("/ready", health.ReadyHandler()) answers 503 with this report
	for _, part := range health.Ready(ctx).Parts {
		fmt.Printf("%s: %s %q\n", part.Name, part.State, part.Reason)
	}
	fmt.Println("live:", health.Live(ctx).OK)
	// Output:
	// durable memory: ok ""
	// templates: failed "not loaded yet"
	// live: true
}
