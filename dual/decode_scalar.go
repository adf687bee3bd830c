package dual

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dualstream/dualstream/durable"
)

func scalar(n *node, kind nodeKind) bool { return n.kind == kind || n.kind == nodeText && n.filled }

func (d *decoder) text(n *node, v reflect.Value) {
	switch n.kind {
	case nodeText:
		v.SetString(n.text)
	case nodeNumber, nodeBool:
		d.fail(n.fail(n.is()+" where a text is expected", "quote it: "+n.quoted()))
	default:
		d.wrongType(n, "a text")
	}
}

func (d *decoder) bool(n *node, v reflect.Value) {
	switch {
	case !scalar(n, nodeBool):
		d.wrongType(n, "true or false")
	case n.text == "true":
		v.SetBool(true)
	case n.text == "false":
		v.SetBool(false)
	default:
		d.fail(n.fail(n.quoted()+" is not true or false", "write true or false"))
	}
}

func (d *decoder) int(n *node, v reflect.Value) {
	if !scalar(n, nodeNumber) {
		d.notNumber(n, "a whole number")
		return
	}
	digits := strings.TrimLeft(n.text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		d.fail(n.fail(n.quoted()+" begins with 0, which some readers take for octal", "write it without, such as 16"))
		return
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, v.Type().Bits())
	if err != nil {
		d.fail(n.fail(n.quoted()+" is not a whole number in range", "write one such as 16"))
		return
	}
	v.SetInt(i)
}

func (d *decoder) notNumber(n *node, want string) {
	remedy := "write " + want
	if n.kind == nodeText {
		remedy += " without quotes and unit"
	}
	d.fail(n.fail(n.is()+" where "+want+" is expected", remedy))
}

func (d *decoder) float(n *node, v reflect.Value) {
	if !scalar(n, nodeNumber) {
		d.notNumber(n, "a number")
		return
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		d.fail(n.fail(n.quoted()+" is not a finite number", "write one such as 0.5"))
		return
	}
	v.SetFloat(f)
}

func (d *decoder) duration(n *node, v reflect.Value) {
	const remedy = "write a number with a unit, such as 500ms, 5s or 2m"
	if n.kind != nodeText && n.kind != nodeNumber {
		d.fail(n.fail(n.is()+" where a duration is expected", remedy))
		return
	}
	period, err := time.ParseDuration(n.text)
	if err != nil {
		d.fail(n.fail(n.quoted()+" is not a duration", remedy))
		return
	}
	if period < 0 {
		d.fail(n.fail(n.quoted()+" is negative", remedy))
		return
	}
	v.SetInt(int64(period))
}

// hold refuses a value that the tags of its field do not allow.
func (d *decoder) hold(n *node, f field, v reflect.Value) {
	value, remedy := "", ""
	switch least := f.tag.Get("min"); {
	case v.Type() == durationType && less(least, time.ParseDuration, time.Duration(v.Int())):
		value, remedy = v.Interface().(time.Duration).String(), "write at least "+least+", or remove the key for the default"
	case v.Type() == durationType:
	case v.CanInt() && less(least, parseInt, v.Int()):
		value, remedy = strconv.FormatInt(v.Int(), 10), "write a number from "+least+", or remove the key for the default"
	case v.CanFloat() && less(least, parseFloat, v.Float()):
		value, remedy = strconv.FormatFloat(v.Float(), 'g', -1, 64), "write a number from "+least+", or remove the key for the default"
	}
	if list := f.oneof(); v.Kind() == reflect.String && list != nil && !slices.Contains(list, v.String()) {
		value, remedy = v.String(), "write "+either(list)
	}
	if remedy != "" {
		d.fail(invalid(n, durable.Invalid(f.key, value, remedy)))
	}
}

func parseInt(s string) (int64, error)     { return strconv.ParseInt(s, 10, 64) }
func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// less tells whether v is below least, which is "" for no bound.
func less[T int64 | float64 | time.Duration](least string, parse func(string) (T, error), v T) bool {
	bound, err := parse(least)
	return err == nil && v < bound
}

// either is "a, b or c".
func either(list []string) string {
	last := len(list) - 1
	if last < 1 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:last], ", ") + " or " + list[last]
}
