package dual

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"time"
)

// MaxConfig is the largest configuration file in bytes.
const MaxConfig = 1 << 20

// Config is a configuration file that was read and checked as far as that is possible without knowing the
// backends: [Open] checks their sections. It prints without secrets.
type Config struct {
	Durable     string           // name of the durable backend; required
	Realtime    string           // name of the real-time backend; "" where nothing is announced
	Publish     PublishConfig    // section publish
	Process     ProcessConfig    // section process
	Topics      map[string]Topic // section topics: created by Open
	OpenTimeout time.Duration    // bound on Open; defaults to 15 s

	durable  *node // the sections, as they stand
	realtime *node
	policies []entry // every other section; Openers.Middleware has to know them
	root     *node
}

// PublishConfig is the section publish. Zero fields take the defaults of durable.PublisherOptions.
type PublishConfig struct {
	Topic       string        `yaml:"topic"`         // defaults to "events"
	MaxInFlight int           `yaml:"max_in_flight"` // events that may be in flight
	MaxBytes    int64         `yaml:"max_bytes"`     // bytes that may be in flight
	Wait        time.Duration `yaml:"wait"`          // for room, then ErrBackpressure
	Queue       int           `yaml:"queue"`         // notifications that may wait to be announced
}

// ProcessConfig is the section process. Zero fields take the defaults of durable.ProcessOptions.
type ProcessConfig struct {
	Concurrency int           `yaml:"concurrency"`   // handlers side by side
	MaxInFlight int           `yaml:"max_in_flight"` // deliveries fetched and not finished
	StallAfter  time.Duration `yaml:"stall_after"`   // that the oldest holds a full window, until it is named
}

// Topic is one entry of the section topics. Zero fields take the default of the adapter or broker.
type Topic struct {
	Partitions  int           `yaml:"partitions"`
	Replication int           `yaml:"replication"`
	Retention   time.Duration `yaml:"retention"`
	MaxLen      int64         `yaml:"max_len"`
}

// document is the file.
type document struct {
	Connections map[string]*node `yaml:"connections"`
	Durable     *node            `yaml:"durable"`
	Realtime    *node            `yaml:"realtime"`
	Publish     PublishConfig    `yaml:"publish"`
	Process     ProcessConfig    `yaml:"process"`
	Topics      map[string]Topic `yaml:"topics"`
	OpenTimeout time.Duration    `yaml:"open_timeout"`
}

// Load reads the configuration file at path: YAML in which ${VAR} and ${VAR:-default} in values are replaced from
// the environment. The error is a *[ConfigError] with file, line, path and remedy, or that of reading the file.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("dual: load configuration: %w", err)
	}
	if info.Size() > MaxConfig {
		return nil, tooLong(path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dual: load configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse is Load for data that is in memory; name stands for the file in errors.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > MaxConfig {
		return nil, tooLong(name)
	}
	root, err := parseNodes(name, data, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	var doc document
	own, policies := splitPolicies(root)
	if err := decode(own, reflect.ValueOf(&doc).Elem()); err != nil {
		return nil, err
	}
	c := &Config{
		Publish: doc.Publish, Process: doc.Process, Topics: doc.Topics, OpenTimeout: doc.OpenTimeout,
		durable: doc.Durable, realtime: doc.Realtime, policies: policies, root: root,
	}
	if err := c.choose(); err != nil {
		return nil, err
	}
	if err := c.connect(doc.Connections); err != nil {
		return nil, err
	}
	return c, c.check()
}

func tooLong(name string) error {
	return &ConfigError{File: name, Problem: fmt.Sprintf("more than %d bytes", MaxConfig), Remedy: "is this the right file?"}
}

// choose reads the names of the two backends.
func (c *Config) choose() error {
	if c.durable == nil || c.durable.kind == nodeNull {
		return &ConfigError{
			File: c.root.file, Path: "durable.backend", Problem: "missing",
			Remedy: "name the stream that keeps the events, such as memory",
		}
	}
	var err error
	if c.Durable, err = chosen(c.durable); err != nil {
		return err
	}
	if c.realtime == nil || c.realtime.kind == nodeNull {
		return nil
	}
	c.Realtime, err = chosen(c.realtime)
	return err
}

func chosen(section *node) (string, error) {
	if section.kind != nodeMap {
		return "", wrongType(section, "a mapping")
	}
	b := section.get("backend")
	if b == nil {
		return "", &ConfigError{
			File: section.file, Line: section.line, Path: join(section.path, "backend"),
			Problem: "missing", Remedy: "name a backend, such as memory",
		}
	}
	var name string
	if err := decode(b, reflect.ValueOf(&name).Elem()); err != nil {
		return "", err
	}
	return name, nil
}

// String is the file as it was understood, one value a line, without secrets.
func (c *Config) String() string {
	var b strings.Builder
	if c.root != nil {
		c.root.print(&b, "")
	}
	return b.String()
}

// Format prints String for every verb, so that %+v and %#v show no secrets either.
func (c *Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue implements slog.LogValuer.
func (c *Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
