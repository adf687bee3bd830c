package dual

import (
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// PublishConfig is the section publish. Zero fields take the defaults.
type PublishConfig struct {
	Topic       string        `yaml:"topic" doc:"where events are stored" example:"orders"`
	Encoding    string        `yaml:"encoding" oneof:"binary,structured" doc:"of stored events: attributes as metadata and data as the payload, or all of it as one CloudEvents JSON document; readers take both" example:"structured"`
	MaxInFlight int           `yaml:"max_in_flight" min:"1" unit:"events" doc:"that may be in flight to the durable backend; more wait" example:"1000"`
	MaxBytes    int64         `yaml:"max_bytes" min:"1" unit:"bytes" doc:"that may be in flight to the durable backend" example:"8388608"`
	Wait        time.Duration `yaml:"wait" doc:"for room, then publishing fails with ErrBackpressure" example:"500ms"`
	Queue       int           `yaml:"queue" min:"1" unit:"notifications" doc:"that may wait to be announced; then the oldest are dropped" example:"1024"`
}

// ProcessConfig is the section process. Zero fields take the defaults.
type ProcessConfig struct {
	Concurrency int           `yaml:"concurrency" min:"1" unit:"handlers" doc:"side by side in one member, of different keys" example:"32"`
	MaxInFlight int           `yaml:"max_in_flight" min:"1" unit:"deliveries" doc:"fetched and not finished; a crash repeats at most so many" example:"1024"`
	StallAfter  time.Duration `yaml:"stall_after" doc:"that the oldest delivery holds a full window, until the log names it" example:"30s"`
}

// Topic is one entry of the section topics. Zero fields take the default of the adapter or broker.
type Topic struct {
	Partitions  int           `yaml:"partitions" min:"1" unit:"partitions" doc:"of the topic, when it is made; an existing topic must have as many" zero:"that of the backend" example:"8"`
	Replication int           `yaml:"replication" min:"1" unit:"copies" doc:"of every partition, where the backend has them" zero:"that of the backend" example:"3"`
	Retention   time.Duration `yaml:"retention" doc:"age after which events are removed" zero:"that of the backend" example:"168h"`
	MaxLen      int64         `yaml:"max_len" min:"1" unit:"events" doc:"of a partition that are kept" zero:"that of the backend" example:"1000000"`
}

// document is the file.
type document struct {
	Connections map[string]*node `yaml:"connections"`
	Durable     *node            `yaml:"durable"`
	Realtime    *node            `yaml:"realtime"`
	Publish     PublishConfig    `yaml:"publish"`
	Process     ProcessConfig    `yaml:"process"`
	Topics      map[string]Topic `yaml:"topics"`
	OpenTimeout time.Duration    `yaml:"open_timeout" doc:"bound on connecting to everything at the start" example:"30s"`
}

// defaults is the document of an empty file.
func defaults() document {
	return document{
		Publish: PublishConfig{
			Topic: defaultTopic, Encoding: EncodingBinary, MaxInFlight: durable.DefaultPublishInFlight, MaxBytes: durable.DefaultPublishBytes,
			Wait: durable.DefaultPublishWait, Queue: realtime.DefaultQueue,
		},
		Process:     ProcessConfig{Concurrency: durable.DefaultConcurrency, MaxInFlight: durable.DefaultMaxInFlight, StallAfter: durable.DefaultStallAfter},
		OpenTimeout: defaultOpenTimeout,
	}
}
