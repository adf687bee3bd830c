package dual

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// Check decodes the section of every backend in cfg strictly, chosen or not, and that of every policy. It dials none.
func Check(cfg *Config, openers Openers) error {
	if _, _, err := settle(cfg, openers); err != nil {
		return err
	}
	_, err := settlePolicies(cfg, openers)
	return err
}

// settle returns the settings of the chosen backends after all sections were checked.
func settle(cfg *Config, openers Openers) (onDurable, onRealtime any, err error) {
	onDurable, err = settleSide(cfg.durable, cfg.Durable, openers.durable())
	if err != nil || cfg.realtime == nil || cfg.Realtime == "" {
		return onDurable, nil, err
	}
	onRealtime, err = settleSide(cfg.realtime, cfg.Realtime, openers.realtime())
	return onDurable, onRealtime, err
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

func settleSide(side *node, name string, known map[string]func() any) (any, error) {
	names := slices.Collect(maps.Keys(known))
	if _, ok := known[name]; !ok {
		return nil, side.get("backend").fail(fmt.Sprintf("unknown backend %q", name), suggest(name, names))
	}
	var mine any
	for _, e := range side.entries {
		if e.key == "backend" {
			continue
		}
		make, ok := known[e.key]
		if !ok {
			return nil, &ConfigError{
				File: side.file, Line: e.line, Path: join(side.path, e.key),
				Problem: "unknown key", Remedy: suggest(e.key, append(names, "backend")),
			}
		}
		settings, err := settingsOf(e.value, make())
		if err != nil {
			return nil, err
		}
		if e.key == name {
			mine = settings
		}
	}
	if mine != nil {
		return mine, nil
	}
	return settingsOf(&node{file: side.file, line: side.line, path: join(side.path, name), kind: nodeMap}, known[name]())
}

func settingsOf(section *node, settings any) (any, error) {
	if err := decode(section, reflect.ValueOf(settings).Elem()); err != nil {
		return nil, err
	}
	checker, ok := settings.(interface{ Check() error })
	if !ok {
		return settings, nil
	}
	err := checker.Check()
	if err == nil {
		return settings, nil
	}
	var bad *durable.InvalidError
	if errors.As(err, &bad) {
		return nil, invalid(place(section, bad.Field), err)
	}
	return nil, invalid(section, err)
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
