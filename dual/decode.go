package dual

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	nodeType     = reflect.TypeFor[*node]()
)

// decode stores n in v strictly: a key that v does not have, or a value of another type, is a *ConfigError.
// Fields are named by their tag `yaml:"name"`, or hold further ones with `yaml:",inline"`; what the file does not name keeps its value.
func decode(n *node, v reflect.Value) error {
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return nil
	}
	if n.kind == nodeNull {
		return decodeNull(n, v)
	}
	if v.Type() == durationType {
		return decodeDuration(n, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return decodeStruct(n, v)
	case reflect.Map:
		return decodeMap(n, v)
	case reflect.Slice:
		return decodeList(n, v)
	case reflect.String:
		if n.kind == nodeNumber || n.kind == nodeBool {
			return n.fail(n.kind.String()+" where a text is expected", "quote it: "+strconv.Quote(shown(n)))
		}
		if n.kind != nodeText {
			return wrongType(n, "a text")
		}
		v.SetString(n.text)
		return nil
	case reflect.Bool:
		return decodeBool(n, v)
	case reflect.Int, reflect.Int32, reflect.Int64:
		return decodeInt(n, v)
	case reflect.Float64:
		return decodeFloat(n, v)
	default:
		return n.fail("cannot be set from a file", "the settings have a field of type "+v.Type().String())
	}
}

func wrongType(n *node, want string) error {
	return n.fail(n.kind.String()+" where "+want+" is expected", "write "+want)
}

// decodeNull accepts nothing (a key without a value) for a section, and refuses it for a value.
func decodeNull(n *node, v reflect.Value) error {
	if v.Kind() == reflect.Struct || v.Kind() == reflect.Map {
		return nil
	}
	return n.fail("has no value", "write one, or remove the key")
}

func decodeStruct(n *node, v reflect.Value) error {
	if n.kind != nodeMap {
		return wrongType(n, "a mapping")
	}
	for _, e := range n.entries {
		at := fieldOf(v.Type(), e.key)
		if at == nil {
			return &ConfigError{
				File: n.file, Line: e.line, Path: join(n.path, e.key),
				Problem: "unknown key", Remedy: suggest(e.key, keysOf(v.Type())),
			}
		}
		if err := decode(e.value, v.FieldByIndex(at)); err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the key of a field, "" for none. The keys of an inlined struct stand beside those of the other fields.
func keyOf(f reflect.StructField) (key string, inlined bool) {
	name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if !f.IsExported() || name == "-" {
		return "", false
	}
	return name, name == "" && options == "inline" && f.Type.Kind() == reflect.Struct
}

// fieldOf is the index of the field with that key, nil where there is none.
func fieldOf(t reflect.Type, key string) []int {
	for i := range t.NumField() {
		k, inlined := keyOf(t.Field(i))
		if key != "" && k == key {
			return []int{i}
		}
		if !inlined {
			continue
		}
		if at := fieldOf(t.Field(i).Type, key); at != nil {
			return append([]int{i}, at...)
		}
	}
	return nil
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		k, inlined := keyOf(t.Field(i))
		switch {
		case inlined:
			keys = append(keys, keysOf(t.Field(i).Type)...)
		case k != "":
			keys = append(keys, k)
		}
	}
	return keys
}

func decodeMap(n *node, v reflect.Value) error {
	if n.kind != nodeMap {
		return wrongType(n, "a mapping")
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.entries))
	for _, e := range n.entries {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := decode(e.value, item); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(e.key), item)
	}
	v.Set(out)
	return nil
}

// decodeList takes a list, or a text with commas, which is how a list comes out of a variable.
func decodeList(n *node, v reflect.Value) error {
	items := n.items
	if n.kind == nodeText && v.Type().Elem().Kind() == reflect.String {
		for part := range strings.SplitSeq(n.text, ",") {
			items = append(items, &node{file: n.file, line: n.line, path: n.path, kind: nodeText, text: strings.TrimSpace(part)})
		}
	} else if n.kind != nodeList {
		return wrongType(n, "a list")
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if item.kind == nodeText && item.text == "" {
			return item.fail("an empty element", "remove it")
		}
		if err := decode(item, out.Index(i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func scalar(n *node, kind nodeKind) bool { return n.kind == kind || n.kind == nodeText && n.filled }

func decodeBool(n *node, v reflect.Value) error {
	if !scalar(n, nodeBool) {
		return wrongType(n, "true or false")
	}
	switch n.text {
	case "true":
		v.SetBool(true)
	case "false":
		v.SetBool(false)
	default:
		return n.fail(fmt.Sprintf("%q is not true or false", shown(n)), "write true or false")
	}
	return nil
}

func decodeInt(n *node, v reflect.Value) error {
	if !scalar(n, nodeNumber) {
		return wrongType(n, "a whole number")
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, v.Type().Bits())
	if err != nil {
		return n.fail(fmt.Sprintf("%q is not a whole number in range", shown(n)), "write one such as 16")
	}
	v.SetInt(i)
	return nil
}

func decodeFloat(n *node, v reflect.Value) error {
	if !scalar(n, nodeNumber) {
		return wrongType(n, "a number")
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return n.fail(fmt.Sprintf("%q is not a finite number", shown(n)), "write one such as 0.5")
	}
	v.SetFloat(f)
	return nil
}

func decodeDuration(n *node, v reflect.Value) error {
	const remedy = "write a number with a unit, such as 500ms, 5s or 2m"
	if n.kind != nodeText && n.kind != nodeNumber {
		return n.fail(n.kind.String()+" where a duration is expected", remedy)
	}
	d, err := time.ParseDuration(n.text)
	if err != nil {
		return n.fail(fmt.Sprintf("%q is not a duration", shown(n)), remedy)
	}
	if d < 0 {
		return n.fail(fmt.Sprintf("%q is negative", shown(n)), remedy)
	}
	v.SetInt(int64(d))
	return nil
}
