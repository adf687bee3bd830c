// Package adapters names the built-in backends for configuration files. A program that links only some of them
// makes its own dual.Openers.
package adapters

import (
	"context"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// All returns the openers of all built-in backends, in new maps to which a program may add its own.
func All() dual.Openers {
	return dual.Openers{
		Durable: map[string]dual.DurableOpener{
			"memory": dual.DurableOf(memory.Settings{}, openMemory),
		},
		Realtime: map[string]dual.RealtimeOpener{
			"memory": dual.RealtimeOf(memory.RealtimeSettings{}, openMemoryRealtime),
		},
	}
}

func openMemory(_ context.Context, s memory.Settings, deps dual.Deps) (durable.Backend, error) {
	cfg := s.Config()
	cfg.Logger = deps.Logger
	return memory.New(cfg)
}

func openMemoryRealtime(_ context.Context, s memory.RealtimeSettings, _ dual.Deps) (realtime.Backend, error) {
	return memory.NewRealtime(s.Config())
}
