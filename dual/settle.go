package dual

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// settled is a file of which every section was decoded.
type settled struct {
	durable  map[string]any // settings by the name of the backend: the chosen one, and those that the file describes
	realtime map[string]any
	policies []policy // to open, the outermost first
	bad      problems
}

// settle decodes and checks all sections of cfg.
func settle(cfg *Config, openers Openers) settled {
	var d decoder
	var s settled
	s.durable = d.side(cfg.durable, cfg.Durable, openers.durable())
	if cfg.Realtime != "" {
		s.realtime = d.side(cfg.realtime, cfg.Realtime, openers.realtime())
	}
	s.policies = d.policies(cfg, openers)
	s.bad = d.bad
	return s
}

func (o Openers) durable() map[string]func() any {
	out := make(map[string]func() any, len(o.Durable))
	for name, opener := range o.Durable {
		out[name] = opener.Settings
	}
	return out
}

func (o Openers) realtime() map[string]func() any {
	out := make(map[string]func() any, len(o.Realtime))
	for name, opener := range o.Realtime {
		out[name] = opener.Settings
	}
	return out
}

func (d *decoder) side(side *node, name string, known map[string]func() any) map[string]any {
	if side == nil || side.kind != nodeMap {
		return nil // told by Config.choose
	}
	names := slices.Collect(maps.Keys(known))
	chosen, ok := known[name]
	if b := side.get("backend"); !ok && b != nil && b.kind == nodeText {
		d.fail(b.fail(fmt.Sprintf("unknown backend %q", name), suggest(name, names)))
	}
	out := map[string]any{}
	for _, e := range side.entries {
		if e.key == "backend" {
			continue
		}
		if make, ok := known[e.key]; ok {
			out[e.key] = d.section(e.value, make())
			continue
		}
		remedy := suggest(e.key, append(names, "backend"))
		if ok && slices.Contains(append(keysOf(reflect.TypeOf(chosen()).Elem()), "connection"), e.key) {
			remedy = "write it below " + join(side.path, name)
		}
		d.unknown(side, e, remedy)
	}
	if _, described := out[name]; !described && ok {
		out[name] = d.section(&node{file: side.file, line: side.line, path: join(side.path, name), kind: nodeMap}, chosen())
	}
	return out
}

// section stores n in settings, and asks their Check where all could be stored.
func (d *decoder) section(n *node, settings any) any {
	before := len(d.bad)
	d.decode(n, reflect.ValueOf(settings).Elem())
	checker, ok := settings.(interface{ Check() error })
	if !ok || len(d.bad) > before || holdsBad(n) {
		return settings
	}
	d.blame(n, checker.Check())
	return settings
}

// blame tells every part of an error of Check, at the setting that it names.
func (d *decoder) blame(n *node, err error) {
	var bad *durable.InvalidError
	joined, several := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
	case several:
		for _, e := range joined.Unwrap() {
			d.blame(n, e)
		}
	case errors.As(err, &bad):
		d.fail(invalid(place(n, bad.Field), err))
	default:
		d.fail(invalid(n, err))
	}
}

// holdsBad tells whether something in n was refused when the file was read.
func holdsBad(n *node) bool {
	return n.kind == nodeBad || slices.ContainsFunc(n.items, holdsBad) ||
		slices.ContainsFunc(n.entries, func(e entry) bool { return holdsBad(e.value) })
}

// place is the node of a setting, a path below section, or one that stands for it where the file does not name it.
func place(section *node, path string) *node {
	at, line := section, section.line
	for key := range strings.SplitSeq(path, ".") {
		if at = at.get(key); at == nil {
			return &node{file: section.file, line: line, path: join(section.path, path)}
		}
		line = at.line
	}
	return at
}

// policies checks the sections of policies, and returns those to open, the outermost first.
func (d *decoder) policies(cfg *Config, openers Openers) []policy {
	var out []policy
	for _, e := range cfg.policies {
		opener, ok := openers.Middleware[e.key]
		if !ok {
			if e.key == "policies" || e.key == "middleware" {
				d.unknown(cfg.root, e, "write a section for each policy, such as retry: the order is fixed")
				continue
			}
			known := slices.Collect(maps.Keys(openers.Middleware))
			d.unknown(cfg.root, e, suggest(e.key, append(known, keysOf(reflect.TypeFor[document]())...)))
			continue
		}
		section := e.value
		if section.kind == nodeNull {
			section = &node{file: section.file, line: section.line, path: section.path, kind: nodeMap}
		}
		out = append(out, policy{e.key, opener, d.section(section, opener.Settings())})
	}
	for name, opener := range openers.Middleware {
		if opener.Always && cfg.root.get(name) == nil {
			out = append(out, policy{name, opener, opener.Settings()})
		}
	}
	slices.SortFunc(out, func(a, b policy) int {
		return cmp.Or(cmp.Compare(a.opener.Place, b.opener.Place), cmp.Compare(a.name, b.name))
	})
	return out
}
