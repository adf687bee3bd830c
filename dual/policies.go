package dual

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// policy is a section of the file that an opener of Openers.Middleware knows, and its settings.
type policy struct {
	name     string
	opener   MiddlewareOpener
	settings any
}

// splitPolicies takes the sections out of root that are not part of document: Open knows whether they are policies.
func splitPolicies(root *node) (rest *node, policies []entry) {
	copied := *root
	copied.entries = nil
	known := reflect.TypeFor[document]()
	for _, e := range root.entries {
		if fieldOf(known, e.key) == nil {
			policies = append(policies, e)
			continue
		}
		copied.entries = append(copied.entries, e)
	}
	return &copied, policies
}

// settlePolicies checks the sections of policies, and returns those to open, the outermost first.
func settlePolicies(cfg *Config, openers Openers) ([]policy, error) {
	var out []policy
	for _, e := range cfg.policies {
		opener, ok := openers.Middleware[e.key]
		if !ok {
			known := slices.Collect(maps.Keys(openers.Middleware))
			return nil, &ConfigError{
				File: cfg.root.file, Line: e.line, Path: e.key,
				Problem: "unknown key", Remedy: suggest(e.key, append(known, keysOf(reflect.TypeFor[document]())...)),
			}
		}
		section := e.value
		if section.kind == nodeNull {
			section = &node{file: section.file, line: section.line, path: section.path, kind: nodeMap}
		}
		settings, err := settingsOf(section, opener.Settings())
		if err != nil {
			return nil, err
		}
		out = append(out, policy{e.key, opener, settings})
	}
	for name, opener := range openers.Middleware {
		if opener.Always && cfg.root.get(name) == nil {
			out = append(out, policy{name, opener, opener.Settings()})
		}
	}
	slices.SortFunc(out, func(a, b policy) int {
		return cmp.Or(cmp.Compare(a.opener.Place, b.opener.Place), cmp.Compare(a.name, b.name))
	})
	return out, nil
}

// openPolicies opens ps and puts their wrappers outside of those of opts.
func (s *Stack) openPolicies(ctx context.Context, ps []policy, opts *Options) error {
	var onAppend []func(durable.Backend) durable.Backend
	var onNotify []func(realtime.Backend) realtime.Backend
	deps := MiddlewareDeps{Deps: Deps{Logger: opts.Logger}, Durable: s.Durable, Realtime: s.Realtime, Observers: s.observers}
	for _, p := range ps {
		m, err := p.opener.Open(ctx, p.settings, deps)
		if err != nil {
			return blame(s.cfg.root, p.name, err)
		}
		s.policies = append(s.policies, m)
		if m.Append != nil {
			onAppend = append(onAppend, m.Append)
		}
		if m.Notify != nil {
			onNotify = append(onNotify, m.Notify)
		}
	}
	opts.Append = append(onAppend, opts.Append...)
	opts.Notify = append(onNotify, opts.Notify...)
	return nil
}

// observers are those of the policies, for a group.
func (s *Stack) observers(group string) []any {
	var out []any
	for _, p := range s.policies {
		if p.Observer != nil {
			out = append(out, p.Observer(group))
		}
	}
	return out
}

// connectPolicy resolves "connection: NAME" in the section of a policy and in its parts.
func connectPolicy(section *node, connections map[string]*node) error {
	if err := merge(section, connections); err != nil {
		return err
	}
	for _, part := range section.entries {
		if part.value.kind != nodeMap {
			continue
		}
		if err := merge(part.value, connections); err != nil {
			return err
		}
	}
	return nil
}
