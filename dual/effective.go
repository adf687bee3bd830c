package dual

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Effective is the configuration with every setting of the backends and policies that it describes, those that the
// file leaves out with their defaults. It is YAML that Load reads again and that means the same, but that secrets are
// masked. A setting that has no value stands as a comment which says what that means. The error is that of Check.
func (c *Config) Effective(openers Openers) (string, error) {
	s := settle(c, openers)
	if err := s.bad.err(); err != nil {
		return "", err
	}
	w := yamlWriter{}
	w.side("durable", c.Durable, s.durable, openers.durable())
	if c.Realtime == "" {
		w.line(0, "# realtime: nothing is announced")
	} else {
		w.side("realtime", c.Realtime, s.realtime, openers.realtime())
	}
	w.line(0, "topics:")
	for _, name := range slices.Sorted(maps.Keys(c.Topics)) {
		w.line(1, scalarYAML(name)+":")
		w.settings("", reflect.ValueOf(c.Topics[name]), reflect.ValueOf(Topic{}), 2)
	}
	doc := document{Publish: c.Publish, Process: c.Process, OpenTimeout: c.OpenTimeout}
	w.settings("", reflect.ValueOf(doc), reflect.ValueOf(defaults()), 0)
	for _, p := range s.policies {
		w.line(0, scalarYAML(p.name)+":")
		w.settings(p.name, reflect.ValueOf(p.settings).Elem(), reflect.ValueOf(p.opener.Settings()).Elem(), 1)
	}
	return w.b.String(), nil
}

func (w *yamlWriter) side(path, chosen string, settings map[string]any, known map[string]func() any) {
	w.line(0, path+":")
	w.line(1, "backend: "+scalarYAML(chosen))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		w.line(1, scalarYAML(name)+":")
		w.settings(name, reflect.ValueOf(settings[name]).Elem(), reflect.ValueOf(known[name]()).Elem(), 2)
	}
}

// settings writes the struct v; def has the defaults.
func (w *yamlWriter) settings(path string, v, def reflect.Value, level int) {
	for _, f := range fieldsOf(v.Type()) {
		if f.typ == nodeType || f.typ.Kind() == reflect.Map {
			continue // sections of document, which Effective writes itself
		}
		at, d, path := v.FieldByIndex(f.index), def.FieldByIndex(f.index), join(path, f.key)
		if at.IsZero() && at.Kind() != reflect.Bool {
			at = d
		}
		switch head := f.key + ":"; {
		case at.Kind() == reflect.Struct:
			w.line(level, head)
			w.settings(path, at, d, level+1)
		case at.IsZero() && at.Kind() != reflect.Bool:
			w.line(level, "# "+head+" "+f.zero())
		case hidden(path) || isSecret(f.typ):
			w.line(level, head+" "+scalarYAML(secretMask))
		case at.Kind() == reflect.Slice:
			w.line(level, head)
			for i := range at.Len() {
				w.line(level+1, "- "+valueYAML(at.Index(i)))
			}
		default:
			w.line(level, head+" "+valueYAML(at))
		}
	}
}

// zero is in words what the field means that is not set and has no default.
func (f field) zero() string {
	if words := f.tag.Get("zero"); words != "" {
		return words
	}
	return "none"
}

// valueYAML is a scalar as the file has it.
func valueYAML(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return durationText(time.Duration(v.Int()))
	case v.Kind() == reflect.String:
		return scalarYAML(withoutPassword(v.String()))
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	default:
		return strconv.FormatInt(v.Int(), 10)
	}
}

// durationText is d without the units that are 0 at its end: 24h for 24h0m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// isSecret tells by the type of a setting whether its value is a secret.
func isSecret(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[interface{ Reveal() string }]())
}
