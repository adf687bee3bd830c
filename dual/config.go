package dual

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"time"
)

// MaxConfig is the largest configuration file in bytes. A file also has at most 16,384 words and signs and 32 levels.
const MaxConfig = 256 << 10

// Config is a configuration file that was read and checked as far as that is possible without knowing the
// backends: Check and [Open] check their sections. It prints without secrets.
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

// Load reads the configuration file at path: YAML in which ${VAR} and ${VAR:-default} in values are replaced from
// the environment. The error joins a *[ConfigError] with file, line, path and remedy for every problem of the file
// (see [Problems]), or is that of reading the file.
func Load(path string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse is Load for data that is in memory; name stands for the file in errors.
func Parse(name string, data []byte) (*Config, error) {
	c, bad := parse(name, data)
	if err := bad.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Check loads the file at path and checks all that can be checked without connecting: the file itself, and the
// settings of every backend, chosen or not, and of every policy. The error joins all problems; see [Problems].
func Check(path string, openers Openers) error {
	data, err := read(path)
	if err != nil {
		return err
	}
	c, bad := parse(path, data)
	if c != nil {
		bad = append(bad, settle(c, openers).bad...)
	}
	return bad.err()
}

// Check is as the function Check, for a file that was loaded.
func (c *Config) Check(openers Openers) error { return settle(c, openers).bad.err() }

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dual: load configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxConfig+1)) // a device has no size that could be asked for
	if err != nil {
		return nil, fmt.Errorf("dual: load configuration: %w", err)
	}
	return data, nil
}

// parse returns what it understood beside what is wrong; nil where it understood nothing.
func parse(name string, data []byte) (*Config, problems) {
	root, bad := parseNodes(name, data, os.LookupEnv)
	if root == nil {
		return nil, bad
	}
	doc := defaults()
	own, policies := splitPolicies(root)
	d := decoder{bad: bad}
	d.decode(own, reflect.ValueOf(&doc).Elem())
	c := &Config{
		Publish: doc.Publish, Process: doc.Process, Topics: doc.Topics, OpenTimeout: doc.OpenTimeout,
		durable: doc.Durable, realtime: doc.Realtime, policies: policies, root: root,
	}
	c.choose(&d)
	c.connect(&d, doc.Connections)
	c.checkTopics(&d)
	return c, d.bad
}

// choose reads the names of the two backends.
func (c *Config) choose(d *decoder) {
	if c.durable == nil || c.durable.kind == nodeNull {
		d.fail(&ConfigError{
			File: c.root.file, Path: "durable.backend", Problem: "missing",
			Remedy: "name the stream that keeps the events, such as memory",
		})
	} else {
		c.Durable = d.chosen(c.durable)
	}
	if c.realtime != nil && c.realtime.kind != nodeNull {
		c.Realtime = d.chosen(c.realtime)
	}
}

func (d *decoder) chosen(section *node) string {
	if section.kind == nodeBad {
		return ""
	}
	if section.kind != nodeMap {
		d.wrongType(section, "a mapping")
		return ""
	}
	b := section.get("backend")
	if b == nil {
		d.fail(&ConfigError{
			File: section.file, Line: section.line, Path: join(section.path, "backend"),
			Problem: "missing", Remedy: "name a backend, such as memory",
		})
		return ""
	}
	var name string
	d.decode(b, reflect.ValueOf(&name).Elem())
	return name
}
