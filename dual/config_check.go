package dual

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// check refuses values that no backend accepts.
func (c *Config) check() error {
	publish, process := c.root.get("publish"), c.root.get("process")
	if c.Publish.Topic != "" || publish.get("topic") != nil {
		if err := durable.CheckTopic(c.Publish.Topic); err != nil {
			return invalid(publish.get("topic"), err)
		}
	}
	for _, v := range []struct {
		section *node
		key     string
		value   int64
	}{
		{publish, "max_in_flight", int64(c.Publish.MaxInFlight)},
		{publish, "max_bytes", c.Publish.MaxBytes},
		{publish, "queue", int64(c.Publish.Queue)},
		{process, "concurrency", int64(c.Process.Concurrency)},
		{process, "max_in_flight", int64(c.Process.MaxInFlight)},
	} {
		if err := positive(v.section.get(v.key), v.value); err != nil {
			return err
		}
	}
	return c.checkTopics()
}

// positive refuses a number that the file names and that is below 1.
func positive(n *node, value int64) error {
	if n == nil || value > 0 {
		return nil
	}
	return n.fail(fmt.Sprintf("%d is not positive", value), "write a number from 1, or remove the key for the default")
}

func (c *Config) checkTopics() error {
	topics := c.root.get("topics")
	if topics == nil {
		return nil
	}
	for _, e := range topics.entries {
		if err := durable.CheckTopic(e.key); err != nil {
			return invalid(&node{file: e.value.file, line: e.line, path: e.value.path}, err)
		}
		t := c.Topics[e.key]
		for key, v := range map[string]int64{
			"partitions": int64(t.Partitions), "replication": int64(t.Replication), "max_len": t.MaxLen,
		} {
			if err := positive(e.value.get(key), v); err != nil {
				return err
			}
		}
	}
	return nil
}

// invalid puts the place of n in front of an error about its value.
func invalid(n *node, err error) error {
	out := n.fail(err.Error(), "")
	out.Err = err
	var bad *durable.InvalidError
	if errors.As(err, &bad) {
		out.Problem, out.Remedy = "bad value "+strconv.Quote(bad.Value), bad.Remedy
		if hidden(n.path) {
			out.Problem = "bad value"
		}
	}
	return out
}

// connect replaces "connection: NAME" in the sections of backends by the settings of connections.NAME; what a
// section says itself stands.
func (c *Config) connect(connections map[string]*node) error {
	for _, side := range []*node{c.durable, c.realtime} {
		if side == nil {
			continue
		}
		for _, section := range side.entries {
			if err := merge(section.value, connections); err != nil {
				return err
			}
		}
	}
	for _, e := range c.policies {
		if err := connectPolicy(e.value, connections); err != nil {
			return err
		}
	}
	return nil
}

func merge(section *node, connections map[string]*node) error {
	i := slices.IndexFunc(section.entries, func(e entry) bool { return e.key == "connection" })
	if i < 0 {
		return nil
	}
	ref := section.entries[i].value
	if ref.kind != nodeText {
		return wrongType(ref, "the name of a connection")
	}
	shared, ok := connections[ref.text]
	if !ok {
		return ref.fail(fmt.Sprintf("there is no connection %q", ref.text), suggest(ref.text, slices.Collect(maps.Keys(connections))))
	}
	section.entries = slices.Delete(section.entries, i, i+1)
	for _, e := range shared.entries {
		if section.get(e.key) == nil {
			section.entries = append(section.entries, e)
		}
	}
	return nil
}

// hidden tells by the name of a setting whether its value is a secret.
func hidden(path string) bool {
	key := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	for _, part := range [...]string{"password", "passwd", "secret", "token", "credential", "private", "api_key"} {
		if strings.Contains(key, part) {
			return true
		}
	}
	return false
}

// shown is the text of a scalar as it may be printed: without secrets and without the password of a URL.
func shown(n *node) string {
	if hidden(n.path) && n.text != "" {
		return "***"
	}
	if strings.Contains(n.text, "://") && strings.Contains(n.text, "@") {
		u, err := url.Parse(n.text)
		if err != nil {
			return "***"
		}
		return u.Redacted()
	}
	return n.text
}

func (n *node) print(b *strings.Builder, path string) {
	switch n.kind {
	case nodeMap:
		for _, e := range n.entries {
			e.value.print(b, join(path, e.key))
		}
	case nodeList:
		for i, item := range n.items {
			item.print(b, path+"["+strconv.Itoa(i)+"]")
		}
	default:
		b.WriteString(path + ": " + shown(n) + "\n")
	}
}
