package dual

import (
	"strconv"
	"strings"
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
	nodeBad // could not be understood, which has been told
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "a text", "a number", "true or false", "a list", "a mapping", "a mistake"}[k]
}

// node is a value of a configuration file that knows its place.
type node struct {
	file    string
	line    int
	path    string // "" for the root
	kind    nodeKind
	text    string // of a scalar
	source  string // text as the file has it, where variables were replaced in it
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

// quoted is the text of a scalar in an error: without secrets, and with the names of variables for what they hold.
func (n *node) quoted() string {
	text := shown(n)
	if n.filled {
		text = n.source
	}
	const most = 64
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}

// is says what n is, for an error about its type.
func (n *node) is() string {
	switch n.kind {
	case nodeText, nodeNumber, nodeBool:
		return n.kind.String() + " (" + n.quoted() + ")"
	default:
		return n.kind.String()
	}
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
