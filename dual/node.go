package dual

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds the nesting of a configuration file.
const maxDepth = 32

type nodeKind int

const (
	nodeNull nodeKind = iota
	nodeText
	nodeNumber
	nodeBool
	nodeList
	nodeMap
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "a text", "a number", "true or false", "a list", "a mapping"}[k]
}

// node is a value of a configuration file that knows its place.
type node struct {
	file    string
	line    int
	path    string // "" for the root
	kind    nodeKind
	text    string // of a scalar
	filled  bool   // text came out of ${VAR}: it may stand for a number or a bool
	entries []entry
	items   []*node
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	line  int
	value *node
}

func (n *node) fail(problem, remedy string) *ConfigError {
	return &ConfigError{File: n.file, Line: n.line, Path: n.path, Problem: problem, Remedy: remedy}
}

// get is the value of key, nil where there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parseNodes reads one YAML document. Anchors, aliases, merges and tags are refused, so that a file means what it
// shows and cannot grow when it is read. lookup resolves ${VAR}.
func parseNodes(file string, data []byte, lookup func(string) (string, bool)) (*node, error) {
	tokens := lexer.Tokenize(string(data))
	if line := tooDeep(tokens); line > 0 {
		return nil, &ConfigError{File: file, Line: line, Problem: fmt.Sprintf("more than %d levels", maxDepth), Remedy: "nest less"}
	}
	doc, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntax(file, err)
	}
	b := builder{file: file, lookup: lookup}
	root := &node{file: file, line: 1, kind: nodeMap}
	seen := false
	for _, d := range doc.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if seen {
			return nil, &ConfigError{File: file, Line: lineOf(d.Body), Problem: "a second document", Remedy: "keep one, without ---"}
		}
		seen = true
		if root, err = b.build(d.Body, "", 0); err != nil {
			return nil, err
		}
	}
	if root.kind != nodeMap && root.kind != nodeNull {
		return nil, root.fail(root.kind.String()+" where a mapping is expected", "start with durable:")
	}
	return root, nil
}

// tooDeep is the line at which flow brackets or list dashes nest beyond maxDepth, 0 where they do not: the parser
// recurses into them.
func tooDeep(tokens token.Tokens) int {
	depth, dashes, dashLine := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Line != dashLine {
				dashes, dashLine = 0, t.Position.Line
			}
			dashes++
		default:
		}
		if depth > maxDepth || dashes > maxDepth || t.Position.IndentLevel > maxDepth {
			return t.Position.Line
		}
	}
	return 0
}

func syntax(file string, err error) error {
	out := &ConfigError{File: file, Problem: "not YAML: " + firstLine(err.Error()), Err: err}
	var y yaml.Error
	if errors.As(err, &y) {
		out.Problem = "not YAML: " + y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			out.Line = t.Position.Line
		}
	}
	return out
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}
