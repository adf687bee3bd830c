package dual

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/dualstream/dualstream/durable"
)

// checkTopics refuses names of topics that no backend accepts.
func (c *Config) checkTopics(d *decoder) {
	if n := c.root.get("publish").get("topic"); n != nil && n.kind == nodeText {
		if err := durable.CheckTopic(c.Publish.Topic); err != nil {
			d.fail(invalid(n, err))
		}
	}
	topics := c.root.get("topics")
	if topics == nil {
		return
	}
	for _, e := range topics.entries {
		if err := durable.CheckTopic(e.key); err != nil {
			d.fail(invalid(&node{file: e.value.file, line: e.line, path: e.value.path}, err))
		}
	}
}

// invalid puts the place of n in front of an error about its value.
func invalid(n *node, err error) *ConfigError {
	out := n.fail(err.Error(), "")
	out.Err = err
	var bad *durable.InvalidError
	if !errors.As(err, &bad) {
		return out
	}
	out.Problem, out.Remedy = "bad value "+strconv.Quote(bad.Value), bad.Remedy
	switch {
	case n.kind == nodeNull && bad.Value == "":
		out.Problem = "missing"
	case hidden(n.path):
		out.Problem = "bad value"
	case n.filled:
		out.Problem = "bad value " + n.quoted()
	}
	return out
}

// connect replaces "connection: NAME" in the sections of backends by the settings of connections.NAME; what a
// section says itself stands.
func (c *Config) connect(d *decoder, connections map[string]*node) {
	for name, n := range connections {
		if n.kind != nodeMap && n.kind != nodeNull && n.kind != nodeBad {
			d.wrongType(n, "a mapping")
			connections[name] = &node{file: n.file, line: n.line, path: n.path, kind: nodeBad}
		}
	}
	for _, side := range []*node{c.durable, c.realtime} {
		if side == nil {
			continue
		}
		for _, section := range side.entries {
			d.merge(section.value, connections)
		}
	}
	for _, e := range c.policies {
		d.merge(e.value, connections)
		for _, part := range e.value.entries {
			d.merge(part.value, connections)
		}
	}
}

func (d *decoder) merge(section *node, connections map[string]*node) {
	i := slices.IndexFunc(section.entries, func(e entry) bool { return e.key == "connection" })
	if i < 0 {
		return
	}
	ref := section.entries[i].value
	section.entries = slices.Delete(slices.Clone(section.entries), i, i+1)
	if ref.kind == nodeBad {
		section.kind = nodeBad
		return
	}
	if ref.kind != nodeText {
		d.wrongType(ref, "the name of a connection")
		section.kind = nodeBad
		return
	}
	shared, ok := connections[ref.text]
	if !ok {
		d.fail(ref.fail(fmt.Sprintf("there is no connection %q", ref.text), suggest(ref.text, slices.Collect(maps.Keys(connections)))))
		section.kind = nodeBad // what the connection would have held is not missing twice
		return
	}
	if shared.kind == nodeBad {
		section.kind = nodeBad
		return
	}
	for _, e := range shared.entries {
		if section.get(e.key) == nil {
			section.entries = append(section.entries, e)
		}
	}
}
