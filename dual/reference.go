package dual

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Reference is a page in Markdown with every setting of a configuration file for openers: key, type, unit, default,
// example and meaning, as the tags of the settings say them (see [DurableOpener]), and the defaults as the openers
// apply them.
func Reference(openers Openers) string {
	var b strings.Builder
	doc := reflect.ValueOf(defaults())
	at := func(key string) reflect.Value {
		f, _ := fieldOf(doc.Type(), key)
		return doc.FieldByIndex(f.index)
	}
	b.WriteString("## The file\n\n")
	table(&b, []row{
		{"durable.backend", "text", "", "required", "memory", "the stream that keeps the events: " + either(sortedKeys(openers.Durable))},
		{"realtime.backend", "text", "", "nothing is announced", "memory", "the bus that announces them: " + either(sortedKeys(openers.Realtime))},
		{"connections.NAME", "section", "", "none", "", "settings that several sections share: `connection: NAME` in a section takes them, what the section says itself stands"},
		rowOf(mustField("open_timeout"), "", at("open_timeout")),
	})
	section(&b, "publish", at("publish"))
	section(&b, "process", at("process"))
	section(&b, "topics.NAME", reflect.ValueOf(Topic{}))
	for _, name := range sortedKeys(openers.Durable) {
		section(&b, "durable."+name, reflect.ValueOf(openers.Durable[name].Settings()).Elem())
	}
	for _, name := range sortedKeys(openers.Realtime) {
		section(&b, "realtime."+name, reflect.ValueOf(openers.Realtime[name].Settings()).Elem())
	}
	for _, name := range sortedKeys(openers.Middleware) {
		section(&b, name, reflect.ValueOf(openers.Middleware[name].Settings()).Elem())
	}
	return b.String()
}

func mustField(key string) field {
	f, _ := fieldOf(reflect.TypeFor[document](), key)
	return f
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// row is a setting of the page.
type row struct{ key, typ, unit, def, example, meaning string }

func section(b *strings.Builder, title string, v reflect.Value) {
	b.WriteString("\n## " + title + "\n\n")
	rows := rowsOf("", v)
	if len(rows) == 0 {
		b.WriteString("It has no settings.\n")
		return
	}
	table(b, rows)
}

func rowsOf(path string, v reflect.Value) []row {
	var rows []row
	for _, f := range fieldsOf(v.Type()) {
		at := v.FieldByIndex(f.index)
		if f.typ.Kind() == reflect.Struct {
			rows = append(rows, rowsOf(join(path, f.key), at)...)
			continue
		}
		rows = append(rows, rowOf(f, path, at))
	}
	return rows
}

func rowOf(f field, path string, def reflect.Value) row {
	r := row{key: join(path, f.key), typ: typeName(f.typ), unit: f.tag.Get("unit"), def: f.zero(), example: f.tag.Get("example"), meaning: f.tag.Get("doc")}
	if !def.IsZero() || def.Kind() == reflect.Bool {
		r.def = "`" + defaultText(def) + "`"
	}
	if f.typ == durationType {
		r.unit = "ms, s, m or h"
	}
	if list := f.oneof(); list != nil {
		r.meaning += ": " + either(list)
	}
	return r
}

// defaultText is a default as the file would have it, in one line.
func defaultText(v reflect.Value) string {
	if v.Kind() != reflect.Slice {
		return valueYAML(v)
	}
	var items []string
	for i := range v.Len() {
		items = append(items, valueYAML(v.Index(i)))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "number"
	default:
		return "whole number"
	}
}

func table(b *strings.Builder, rows []row) {
	b.WriteString("| Key | Type | Unit | Default | Example | Meaning |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		if r.example != "" {
			r.example = "`" + r.example + "`"
		}
		cells := []string{"`" + r.key + "`", r.typ, r.unit, r.def, r.example, r.meaning}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
}
