package memory

import "github.com/dualstream/dualstream/durable"

// RealtimeSettings are the keys of the section realtime.memory of a configuration file; see RealtimeConfig.
type RealtimeSettings struct {
	Buffer int `yaml:"buffer"`
}

// Check returns a *durable.InvalidError that names a key.
func (s RealtimeSettings) Check() error {
	if s.Buffer < 0 {
		return durable.Invalid("buffer", "negative", "write a number from 1, or remove the key")
	}
	return nil
}

// Config is what NewRealtime takes.
func (s RealtimeSettings) Config() RealtimeConfig { return RealtimeConfig(s) }
