package memory

import (
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// RealtimeSettings are the keys of the section realtime.memory of a configuration file; see RealtimeConfig.
type RealtimeSettings struct {
	Buffer int `yaml:"buffer" min:"1" unit:"notifications" doc:"that a subscription holds; then the oldest are dropped and reported" example:"8192"`
}

// RealtimeDefaults are the settings of an empty section.
func RealtimeDefaults() RealtimeSettings { return RealtimeSettings{Buffer: realtime.DefaultInbox} }

// Check returns a *durable.InvalidError that names a key.
func (s RealtimeSettings) Check() error {
	if s.Buffer < 0 {
		return durable.Invalid("buffer", "negative", "write a number from 1, or remove the key")
	}
	return nil
}

// Config is what NewRealtime takes.
func (s RealtimeSettings) Config() RealtimeConfig { return RealtimeConfig(s) }
