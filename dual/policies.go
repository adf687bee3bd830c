package dual

import (
	"context"
	"reflect"

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
		if _, ok := fieldOf(known, e.key); !ok {
			policies = append(policies, e)
			continue
		}
		copied.entries = append(copied.entries, e)
	}
	return &copied, policies
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
		s.policies, s.sections = append(s.policies, m), append(s.sections, p.name)
		if m.Append != nil {
			onAppend = append(onAppend, m.Append)
		}
		if m.Notify != nil {
			onNotify = append(onNotify, m.Notify)
		}
		if m.Metadata != nil {
			opts.Metadata = both(opts.Metadata, m.Metadata)
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

// both is what first says, and then what second does. A nil first says nothing.
func both(first, second func(context.Context) map[string]string) func(context.Context) map[string]string {
	if first == nil {
		return second
	}
	return func(ctx context.Context) map[string]string { return merged(first(ctx), second(ctx)) }
}

// consumed is s.Durable in the wrappers of the policies, the first of them outermost.
func (s *Stack) consumed() durable.Backend {
	b := s.Durable
	for i := len(s.policies) - 1; i >= 0; i-- {
		if wrap := s.policies[i].Consume; wrap != nil {
			b = wrap(b)
		}
	}
	return b
}
