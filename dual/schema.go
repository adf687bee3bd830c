package dual

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// object is a part of a JSON Schema.
type object = map[string]any

const (
	variablePattern = `\$\{`
	durationPattern = `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|` + variablePattern
	topicPattern    = `^[A-Za-z0-9._-]+$`
)

// Schema is a JSON Schema (draft 7) of configuration files for openers, for editors that complete and check them. It
// sees unknown keys, wrong types, bad units, and numbers and texts that are never right; Check sees the rest.
func Schema(openers Openers) ([]byte, error) {
	def := defaults()
	sections := object{}
	shared := object{}
	sections["durable"] = sideSchema(openers.durable(), shared)
	sections["realtime"] = orNull(sideSchema(openers.realtime(), shared))
	for _, name := range sortedKeys(openers.Middleware) {
		sections[name] = policySchema(openers.Middleware[name].Settings(), shared)
	}
	for _, f := range fieldsOf(reflect.TypeFor[document]()) {
		if v := reflect.ValueOf(def).FieldByIndex(f.index); f.typ != nodeType && f.typ.Kind() != reflect.Map {
			sections[f.key] = fieldSchema(f, v)
		}
	}
	sections["topics"] = orNull(object{
		"type": "object", "propertyNames": object{"pattern": topicPattern, "maxLength": 249},
		"additionalProperties": orNull(structSchema(reflect.ValueOf(Topic{}))),
	})
	sections["connections"] = orNull(object{"type": "object", "additionalProperties": orNull(closed(shared))})
	return json.MarshalIndent(object{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "dualstream configuration",
		"type": "object", "properties": sections, "additionalProperties": false, "required": []string{"durable"},
	}, "", "  ")
}

// connected is s with the key connection, and its keys in shared, which are those that a connection may have.
func connected(s, shared object) object {
	properties := s["properties"].(object)
	for key, v := range properties {
		if _, known := shared[key]; !known {
			shared[key] = v
		}
	}
	properties["connection"] = object{"type": "string", "description": "the name of a part of connections, whose settings are taken"}
	return orNull(s)
}

// policySchema has the key connection in the parts of the section, too.
func policySchema(settings any, shared object) object {
	s := structSchema(reflect.ValueOf(settings).Elem())
	for _, key := range sortedKeys(s["properties"].(object)) {
		if part := s["properties"].(object)[key].(object); part["properties"] != nil {
			connected(part, shared)
		}
	}
	return connected(s, shared)
}

func sideSchema(known map[string]func() any, shared object) object {
	properties := object{"backend": orVariable(object{"description": "the name of a backend", "enum": sortedKeys(known)})}
	for _, name := range sortedKeys(known) {
		properties[name] = connected(structSchema(reflect.ValueOf(known[name]()).Elem()), shared)
	}
	s := closed(properties)
	s["required"] = []string{"backend"}
	return s
}

func closed(properties object) object {
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

// orNull lets a section be empty.
func orNull(s object) object {
	s["type"] = []string{"object", "null"}
	return s
}

func structSchema(v reflect.Value) object {
	properties := object{}
	for _, f := range fieldsOf(v.Type()) {
		properties[f.key] = fieldSchema(f, v.FieldByIndex(f.index))
	}
	return closed(properties)
}

func fieldSchema(f field, def reflect.Value) object {
	if f.typ.Kind() == reflect.Struct {
		return orNull(structSchema(def))
	}
	s := typeSchema(f, f.typ)
	r := rowOf(f, "", def)
	s["description"] = r.meaning + ". Unit: " + r.unit + ". Default: " + r.def + ". Example: " + r.example
	if r.unit == "" {
		s["description"] = r.meaning + ". Default: " + r.def + ". Example: " + r.example
	}
	if !def.IsZero() || def.Kind() == reflect.Bool {
		s["default"] = jsonValue(def)
	}
	return s
}

// jsonValue is a default as JSON has it.
func jsonValue(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = jsonValue(v.Index(i))
		}
		return list
	case v.Type() == durationType:
		return durationText(time.Duration(v.Int()))
	default:
		return v.Interface()
	}
}

func typeSchema(f field, t reflect.Type) object {
	switch {
	case t == durationType:
		return object{"type": "string", "pattern": durationPattern}
	case t.Kind() == reflect.Slice:
		item := typeSchema(f, t.Elem())
		return object{"anyOf": []any{object{"type": "array", "items": item}, object{"type": "string", "minLength": 1}}}
	case t.Kind() == reflect.String && f.oneof() != nil:
		return orVariable(object{"enum": slices.Clone(f.oneof())})
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return orVariable(object{"type": "boolean"})
	}
	number := object{"type": "integer"}
	if t.Kind() == reflect.Float64 {
		number["type"] = "number"
	}
	if least, err := strconv.ParseFloat(f.tag.Get("min"), 64); err == nil {
		number["minimum"] = least
	}
	return orVariable(number)
}

// orVariable is s, or a text with a variable that stands for such a value.
func orVariable(s object) object {
	return object{"anyOf": []any{s, object{"type": "string", "pattern": variablePattern}}}
}
