package dual

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// builder turns the syntax tree into nodes.
type builder struct {
	file   string
	lookup func(string) (string, bool)
}

func (b builder) build(n ast.Node, path string, depth int) (*node, error) {
	out := &node{file: b.file, line: lineOf(n), path: path}
	if depth > maxDepth {
		return nil, out.fail(fmt.Sprintf("more than %d levels", maxDepth), "nest less")
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		out.kind = nodeNull
	case *ast.StringNode:
		return b.text(out, n.Value)
	case *ast.LiteralNode:
		return b.text(out, n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = nodeNumber, n.GetToken().Value
	case *ast.BoolNode:
		out.kind, out.text = nodeBool, fmt.Sprint(n.Value)
	case *ast.SequenceNode:
		return b.list(out, n, depth)
	case *ast.MappingNode:
		return b.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		return b.mapping(out, []*ast.MappingValueNode{n}, depth)
	default:
		return nil, out.fail("anchors, aliases, merges and tags are not read", "write the value out")
	}
	return out, nil
}

func (b builder) list(out *node, n *ast.SequenceNode, depth int) (*node, error) {
	out.kind = nodeList
	for i, v := range n.Values {
		item, err := b.build(v, fmt.Sprintf("%s[%d]", out.path, i), depth+1)
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, item)
	}
	return out, nil
}

func (b builder) mapping(out *node, values []*ast.MappingValueNode, depth int) (*node, error) {
	out.kind = nodeMap
	for _, v := range values {
		switch v.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		default:
			return nil, (&node{file: b.file, line: lineOf(v), path: out.path}).
				fail("a key that is not a plain text", "write a name; anchors, aliases and merges are not read")
		}
		key := v.Key.GetToken().Value
		value, err := b.build(v.Value, join(out.path, key), depth+1)
		if err != nil {
			return nil, err
		}
		line := lineOf(v.Key)
		if value.line == 0 || value.kind == nodeMap || value.kind == nodeNull {
			value.line = line
		}
		out.entries = append(out.entries, entry{key: key, line: line, value: value})
	}
	return out, nil
}

func (b builder) text(out *node, s string) (*node, error) {
	out.kind = nodeText
	if !strings.Contains(s, "${") {
		out.text = s
		return out, nil
	}
	var problem, remedy string
	out.text, problem, remedy = expand(s, b.lookup)
	if problem != "" {
		return nil, out.fail(problem, remedy)
	}
	out.filled = true
	return out, nil
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
