package dual

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// builder turns the syntax tree into nodes, and collects what is wrong in it.
type builder struct {
	file   string
	lookup func(string) (string, bool)
	bad    problems
}

// refuse makes out a node that nobody complains of again.
func (b *builder) refuse(out *node, problem, remedy string) *node {
	b.bad = append(b.bad, out.fail(problem, remedy))
	out.kind = nodeBad
	return out
}

func (b *builder) build(n ast.Node, path string, depth int) *node {
	out := &node{file: b.file, line: lineOf(n), path: path}
	if depth > maxDepth {
		return b.refuse(out, fmt.Sprintf("more than %d levels", maxDepth), "nest less")
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		out.kind = nodeNull
	case *ast.StringNode:
		if n.Token.Type == token.StringType && plainNumber(n.Value) && !strings.ContainsAny(n.Value, "xXiInN") {
			out.kind, out.text = nodeNumber, n.Value // one that is too large for the parser, or has an exponent
			return out
		}
		return b.text(out, n.Value)
	case *ast.LiteralNode:
		return b.text(out, n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = nodeNumber, n.GetToken().Value
	case *ast.BoolNode:
		out.kind, out.text = nodeBool, fmt.Sprint(n.Value)
	case *ast.SequenceNode:
		out.kind = nodeList
		for i, v := range n.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			if text, ok := hostPort(v); ok {
				out.items = append(out.items, b.text(&node{file: b.file, line: lineOf(v), path: at}, text))
				continue
			}
			out.items = append(out.items, b.build(v, at, depth+1))
		}
	case *ast.MappingNode:
		b.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		b.mapping(out, []*ast.MappingValueNode{n}, depth)
	default:
		return b.refuse(out, "anchors, aliases, merges and tags are not read", "write the value out")
	}
	return out
}

// hostPort is the text of an element such as kafka:9092, which the parser takes for a mapping where its list stands in
// braces. YAML wants a space behind the colon of one.
func hostPort(n ast.Node) (string, bool) {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 1 && m.Start.Type != token.MappingStartType {
		n = m.Values[0]
	}
	m, ok := n.(*ast.MappingValueNode)
	if !ok {
		return "", false
	}
	key, plain := m.Key.(*ast.StringNode)
	value, scalar := m.Value.(ast.ScalarNode)
	if !plain || !scalar || key.Token.Type != token.StringType {
		return "", false
	}
	colon, at := m.Start.Position, value.GetToken().Position
	if colon.Line != at.Line || colon.Column+1 != at.Column {
		return "", false
	}
	return key.Value + ":" + value.GetToken().Value, true
}

func (b *builder) mapping(out *node, values []*ast.MappingValueNode, depth int) {
	out.kind = nodeMap
	lines := map[string]int{}
	for _, v := range values {
		key, ok := b.key(out, v)
		if !ok {
			continue
		}
		line := lineOf(v.Key)
		if before, twice := lines[key]; twice {
			at := &node{file: b.file, line: line, path: join(out.path, key)}
			b.bad = append(b.bad, at.fail(fmt.Sprintf("the key is in line %d already", before), "keep one of them"))
			continue
		}
		lines[key] = line
		value := b.build(v.Value, join(out.path, key), depth+1)
		if value.line == 0 || value.kind == nodeMap || value.kind == nodeNull {
			value.line = line
		}
		out.entries = append(out.entries, entry{key: key, line: line, value: value})
	}
}

func (b *builder) key(out *node, v *ast.MappingValueNode) (string, bool) {
	at := &node{file: b.file, line: lineOf(v), path: out.path}
	switch v.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
	default:
		b.refuse(at, "a key that is not a plain text", "write a name; anchors, aliases and merges are not read")
		return "", false
	}
	key := v.Key.GetToken().Value
	if strings.Contains(key, "${") {
		b.refuse(at, fmt.Sprintf("a variable in the key %q", key), "write the name out; ${VAR} is replaced in values alone")
		return "", false
	}
	return key, true
}

func (b *builder) text(out *node, s string) *node {
	out.kind, out.text = nodeText, s
	if !strings.Contains(s, "${") {
		return out
	}
	text, problem, remedy := expand(s, b.lookup)
	if hidden(out.path) && strings.HasPrefix(remedy, "set it") {
		remedy = "set it" // a secret has no default
	}
	if problem != "" {
		return b.refuse(out, problem, remedy)
	}
	out.text, out.source, out.filled = text, s, true
	return out
}

// expand replaces ${VAR} and ${VAR:-default} in s; $${ stands for ${. An unset or empty variable takes the default.
func expand(s string, lookup func(string) (string, bool)) (text, problem, remedy string) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), "", ""
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		body, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", "${ is not closed", "write ${NAME} or ${NAME:-default}, and $${ for the text ${"
		}
		name, fallback, hasFallback := strings.Cut(body, ":-")
		if !variableName(name) {
			return "", fmt.Sprintf("%q is not the name of a variable", name), "write ${NAME} or ${NAME:-default}"
		}
		if strings.Contains(fallback, "{") {
			return "", "the default of ${" + name + "} holds a brace, and would end at the first }", "set the variable instead"
		}
		value, set := lookup(name)
		switch {
		case set && value != "":
			b.WriteString(value)
		case hasFallback:
			b.WriteString(fallback)
		default:
			return "", "the environment variable " + name + " is not set", "set it, or write ${" + name + ":-default}"
		}
		s = rest
	}
}

func variableName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
