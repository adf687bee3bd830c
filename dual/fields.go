package dual

import (
	"reflect"
	"strings"
)

// field is a field of settings that has a key. Its tags are what the reference page and the schema say of it, and
// what decoding holds: yaml (the key), doc, unit, example, min, oneof, and zero, which is in words what the zero value
// means where it is the default.
type field struct {
	key   string
	index []int
	typ   reflect.Type
	tag   reflect.StructTag
}

// fieldsOf are the fields of the struct t. Those of an inlined struct stand beside the others.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case name != "":
			out = append(out, field{key: name, index: []int{i}, typ: f.Type, tag: f.Tag})
		case options == "inline" && f.Type.Kind() == reflect.Struct:
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				out = append(out, inner)
			}
		}
	}
	return out
}

// fieldOf is the field with that key.
func fieldOf(t reflect.Type, key string) (field, bool) {
	for _, f := range fieldsOf(t) {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// oneof are the texts that the field takes; nil for any.
func (f field) oneof() []string {
	if list := f.tag.Get("oneof"); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}
