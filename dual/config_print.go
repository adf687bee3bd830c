package dual

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// secretMask stands for a secret in everything that is printed.
const secretMask = "***"

// String is the file as it was understood, as YAML with connections resolved and variables replaced, without secrets.
// Effective adds the defaults.
func (c *Config) String() string {
	if c == nil || c.root == nil {
		return ""
	}
	w := yamlWriter{}
	w.entries(c.root, 0)
	return w.b.String()
}

// Format prints String for every verb, so that %+v and %#v show no secrets either.
func (c *Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue implements slog.LogValuer.
func (c *Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// hidden tells by the name of a setting whether its value is a secret. That of a file that holds one is none.
func hidden(path string) bool {
	key := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	if strings.HasSuffix(key, "_file") {
		return false
	}
	return slices.ContainsFunc([]string{"password", "passwd", "secret", "token", "credential", "private", "api_key"}, func(part string) bool {
		return strings.Contains(key, part)
	})
}

// shown is the text of a scalar as it may be printed: without secrets and without the password of a URL.
func shown(n *node) string {
	if hidden(n.path) && n.text != "" {
		return secretMask
	}
	return withoutPassword(n.text)
}

func withoutPassword(text string) string {
	if !strings.Contains(text, "://") || !strings.Contains(text, "@") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return secretMask
	}
	return u.Redacted()
}

// yamlWriter writes block style, two spaces a level.
type yamlWriter struct{ b strings.Builder }

func (w *yamlWriter) line(level int, text string) {
	w.b.WriteString(strings.Repeat("  ", level) + text + "\n")
}

func (w *yamlWriter) entries(n *node, level int) {
	for _, e := range n.entries {
		w.entry(scalarYAML(e.key)+":", e.value, level)
	}
}

func (w *yamlWriter) entry(head string, n *node, level int) {
	switch n.kind {
	case nodeMap:
		w.line(level, head)
		w.entries(n, level+1)
	case nodeList:
		w.line(level, head)
		for _, item := range n.items {
			w.entry("-", item, level+1)
		}
	case nodeNull, nodeBad:
		w.line(level, head)
	case nodeText:
		text := shown(n)
		if n.filled { // what it stands for is not known here
			w.line(level, head+" "+text2YAML(text, plainNumber))
			return
		}
		w.line(level, head+" "+scalarYAML(text))
	default:
		w.line(level, head+" "+shown(n))
	}
}

// scalarYAML is a text as YAML that reads as this text.
func scalarYAML(text string) string { return text2YAML(text, plainText) }

func text2YAML(text string, plain func(string) bool) string {
	if plain(text) || plainText(text) {
		return text
	}
	return strings.ReplaceAll(strconv.Quote(text), "${", "$${")
}

// plainText tells whether text reads as itself without quotes.
func plainText(text string) bool {
	for i, c := range text {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_-./", c)) {
			return false
		}
	}
	switch strings.ToLower(text) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	return true
}

func plainNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}
