package dual

import (
	"reflect"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	nodeType     = reflect.TypeFor[*node]()
)

// decoder stores nodes in values strictly: a key that a struct does not have, or a value of another type, is a
// problem, of which it collects all. What has one keeps the value it had.
type decoder struct{ bad problems }

func (d *decoder) fail(e *ConfigError) { d.bad = append(d.bad, e) }

func (d *decoder) wrongType(n *node, want string) {
	d.fail(n.fail(n.is()+" where "+want+" is expected", "write "+want))
}

// decode stores n in v.
func (d *decoder) decode(n *node, v reflect.Value) {
	switch {
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(n))
		return
	case n.kind == nodeBad: // told already
		return
	case n.kind == nodeNull:
		if v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
			d.fail(n.fail("has no value", "write one, or remove the key"))
		}
		return
	case v.Type() == durationType:
		d.duration(n, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.String:
		d.text(n, v)
	case reflect.Bool:
		d.bool(n, v)
	case reflect.Int, reflect.Int32, reflect.Int64:
		d.int(n, v)
	case reflect.Float64:
		d.float(n, v)
	default:
		d.fail(n.fail("cannot be set from a file", "the settings have a field of type "+v.Type().String()))
	}
}

func (d *decoder) structure(n *node, v reflect.Value) {
	if n.kind != nodeMap {
		d.wrongType(n, "a mapping")
		return
	}
	for _, e := range n.entries {
		f, ok := fieldOf(v.Type(), e.key)
		if !ok {
			d.unknown(n, e, suggest(e.key, keysOf(v.Type())))
			continue
		}
		before := len(d.bad)
		at := v.FieldByIndex(f.index)
		d.decode(e.value, at)
		if len(d.bad) == before && e.value.kind != nodeBad {
			d.hold(e.value, f, at)
		}
	}
}

// unknown refuses the key of e in n.
func (d *decoder) unknown(n *node, e entry, remedy string) {
	if e.value.kind == nodeBad {
		return
	}
	d.fail(&ConfigError{File: n.file, Line: e.line, Path: join(n.path, e.key), Problem: "unknown key", Remedy: remedy})
}

func (d *decoder) mapping(n *node, v reflect.Value) {
	if n.kind != nodeMap {
		d.wrongType(n, "a mapping")
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.entries))
	for _, e := range n.entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, item)
		out.SetMapIndex(reflect.ValueOf(e.key), item)
	}
	v.Set(out)
}

// list takes a list, or a text with commas, which is how a list comes out of a variable.
func (d *decoder) list(n *node, v reflect.Value) {
	items := n.items
	if n.kind == nodeText && v.Type().Elem().Kind() != reflect.Struct {
		for part := range strings.SplitSeq(n.text, ",") {
			item := *n
			item.text = strings.TrimSpace(part)
			items = append(items, &item)
		}
	} else if n.kind != nodeList {
		d.wrongType(n, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if item.kind == nodeText && item.text == "" {
			d.fail(n.fail(emptyElement(n), "remove it"))
			continue
		}
		d.decode(item, out.Index(i))
	}
	v.Set(out)
}

func emptyElement(n *node) string {
	if n.kind == nodeText {
		return n.quoted() + " has an empty element"
	}
	return "an empty element"
}
