package memory

import "github.com/dualstream/dualstream/durable"

// Settings are the keys of the section durable.memory of a configuration file; see Config.
type Settings struct {
	Partitions int   `yaml:"partitions" min:"1" unit:"partitions" doc:"of a topic that is made by its first use" example:"8"`
	MaxLen     int64 `yaml:"max_len" min:"1" unit:"events" doc:"of a partition that are kept" example:"10000"`
	MaxBytes   int64 `yaml:"max_bytes" min:"1" unit:"bytes" doc:"of a partition that are kept; the newest event always is" example:"16777216"`
}

// Defaults are the settings of an empty section.
func Defaults() Settings {
	return Settings{Partitions: DefaultPartitions, MaxLen: DefaultMaxLen, MaxBytes: DefaultMaxBytes}
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if s.Partitions < 0 {
		return durable.Invalid("partitions", "negative", "write a number from 1, or remove the key")
	}
	if s.MaxLen < 0 {
		return durable.Invalid("max_len", "negative", "write a number from 1, or remove the key")
	}
	if s.MaxBytes < 0 {
		return durable.Invalid("max_bytes", "negative", "write a number from 1, or remove the key")
	}
	return nil
}

// Config is what New takes.
func (s Settings) Config() Config {
	return Config{Partitions: s.Partitions, MaxLen: s.MaxLen, MaxBytes: s.MaxBytes}
}
