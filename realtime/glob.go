package realtime

import "strings"

// Match tells whether channel matches glob, in the language of Redis' PSUBSCRIBE and byte by byte:
//
//   - any run of bytes, also none
//     ?      any one byte
//     [abc]  one of the set; [a-z] a range, either way round; [^abc] none of the set
//     \x     x itself, also within a set
//
// A set that is not closed ends with the glob. This function is the reference for every backend.
// It allocates nothing, and its time is bounded by len(glob) times len(channel).
func Match(glob, channel string) bool {
	if channel == "" {
		return glob == ""
	}
	star, resume := -1, 0 // after the last '*', and the channel position that it was tried at
	g, c := 0, 0
	for c < len(channel) {
		if g < len(glob) && glob[g] == '*' {
			g++
			if g == len(glob) {
				return true
			}
			star, resume = g, c
			continue
		}
		if next, ok := matchOne(glob, g, channel[c]); ok {
			g, c = next, c+1
			continue
		}
		if star < 0 {
			return false
		}
		resume++
		g, c = star, resume
	}
	return strings.Trim(glob[g:], "*") == ""
}

// matchOne matches b against the element of glob at g, which is not '*', and returns where the next one begins.
func matchOne(glob string, g int, b byte) (next int, ok bool) {
	if g >= len(glob) {
		return g, false
	}
	switch glob[g] {
	case '?':
		return g + 1, true
	case '[':
		return matchSet(glob, g+1, b)
	case '\\':
		if g+1 < len(glob) {
			g++
		}
	}
	return g + 1, glob[g] == b
}

// matchSet matches b against the set whose first byte after '[' is at g.
func matchSet(glob string, g int, b byte) (next int, ok bool) {
	not := g < len(glob) && glob[g] == '^'
	if not {
		g++
	}
	found := false
	for g < len(glob) && glob[g] != ']' {
		switch {
		case glob[g] == '\\' && g+1 < len(glob):
			g++
			found = found || glob[g] == b
		case g+2 < len(glob) && glob[g+1] == '-':
			lo, hi := min(glob[g], glob[g+2]), max(glob[g], glob[g+2])
			g += 2
			found = found || lo <= b && b <= hi
		default:
			found = found || glob[g] == b
		}
		g++
	}
	return min(g+1, len(glob)), found != not
}

// Escape returns s as a glob that matches s alone, to be joined with wildcards:
//
//	realtime.Pattern("events:*:" + realtime.Escape(id))
func Escape(s string) string {
	const special = `*?[]^-\`
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
