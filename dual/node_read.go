package dual

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxTokens bounds the words and signs of a file: the time of the parser grows with the square of the keys.
const maxTokens = 16_384

// parseNodes reads one YAML document. Anchors, aliases, merges and tags are refused, so that a file means what it
// shows and cannot grow when it is read. lookup resolves ${VAR}. The node is nil where nothing was understood.
func parseNodes(file string, data []byte, lookup func(string) (string, bool)) (*node, problems) {
	whole := &node{file: file, line: 1, kind: nodeMap}
	data, e := plainUTF8(whole, data)
	if e != nil {
		return nil, problems{e}
	}
	tokens := lexer.Tokenize(string(data))
	if len(tokens) > maxTokens {
		return nil, problems{{File: file, Problem: fmt.Sprintf("more than %d words and signs", maxTokens), Remedy: "is this the right file?"}}
	}
	if line := tooDeep(tokens); line > 0 {
		return nil, problems{{File: file, Line: line, Problem: fmt.Sprintf("more than %d levels", maxDepth), Remedy: "nest less"}}
	}
	doc, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // builder names both lines
	if err != nil {
		return nil, problems{syntax(file, err)}
	}
	var bodies []ast.Node
	for _, d := range doc.Docs {
		if d != nil && d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) == 0 {
		return whole, nil
	}
	if len(bodies) > 1 {
		return nil, problems{{File: file, Line: lineOf(bodies[1]), Problem: "a second document", Remedy: "keep one, without ---"}}
	}
	b := builder{file: file, lookup: lookup}
	root := b.build(bodies[0], "", 0)
	if root.kind == nodeBad {
		return nil, b.bad
	}
	if root.kind != nodeMap && root.kind != nodeNull {
		return nil, append(b.bad, root.fail(root.is()+" where a mapping is expected", "start with durable:"))
	}
	return root, b.bad
}

// plainUTF8 is data without the mark at its beginning that some editors write.
func plainUTF8(whole *node, data []byte) ([]byte, *ConfigError) {
	if len(data) > MaxConfig {
		return nil, &ConfigError{File: whole.file, Problem: fmt.Sprintf("more than %d bytes", MaxConfig), Remedy: "is this the right file?"}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, whole.fail("UTF-16 where UTF-8 is expected", "save the file as UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for number, line := range bytes.Split(data, []byte("\n")) {
		at := &node{file: whole.file, line: number + 1}
		if !utf8.Valid(line) {
			return nil, at.fail("bytes that are not UTF-8", "save the file as UTF-8")
		}
		if i := bytes.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' || c == 0x7f }); i >= 0 {
			return nil, at.fail(fmt.Sprintf("the control character %q", line[i]), `remove it, or write it as "\x.." in double quotes`)
		}
	}
	return data, nil
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

// syntax is an error of the parser with a remedy.
func syntax(file string, err error) *ConfigError {
	message, _, _ := strings.Cut(err.Error(), "\n")
	out := &ConfigError{File: file, Err: err}
	var y yaml.Error
	if errors.As(err, &y) {
		message = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			out.Line = t.Position.Line
		}
	}
	out.Problem, out.Remedy = "not YAML: "+message, "write key: value, and put what belongs below a key two spaces to the right of it"
	switch {
	case strings.Contains(message, "'\t'") || strings.Contains(message, "a tab character"):
		out.Problem, out.Remedy = "a tab in the indentation", "indent with spaces"
	case strings.Contains(message, "reserved character"), strings.Contains(message, "directive"):
		out.Remedy = "quote the value"
	case strings.Contains(message, "quoted text"):
		out.Remedy = "close the quotes; within double quotes a backslash is written as two"
	case strings.Contains(message, "must be specified"), strings.Contains(message, "pre-defined"),
		strings.Contains(message, "end token"), strings.Contains(message, "character corresponding"):
		out.Remedy = `close every bracket and quote, and quote a value that holds one, such as "${NAME}" in braces`
	}
	return out
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}
