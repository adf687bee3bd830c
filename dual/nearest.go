package dual

import (
	"slices"
	"strconv"
	"strings"
)

// suggest is the remedy for an unknown name: the nearest of known, or all of them.
func suggest(name string, known []string) string {
	name = strings.ToLower(name)
	sorted := slices.Sorted(slices.Values(known))
	if best := nearest(name, sorted); best != "" {
		return "did you mean " + strconv.Quote(best) + "?"
	}
	if len(known) == 0 {
		return "nothing is known here"
	}
	return "known are " + strings.Join(sorted, ", ")
}

// nearest is the one of known that name was probably meant to be: misspelt, or a part of it, well spelt or not.
func nearest(name string, known []string) string {
	best, least := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best != "" || len(name) < 4 {
		return best
	}
	for _, k := range known {
		if strings.HasPrefix(k, name) || strings.HasPrefix(name, k) {
			return k
		}
	}
	least = 1 + max(1, len(name)/3)
	for _, k := range known {
		for part := range strings.SplitSeq(k, "_") {
			if d := distance(name, part); d < least {
				best, least = k, d
			}
		}
	}
	return best
}

// distance is the number of single-byte insertions, deletions, replacements and swaps of neighbours from a to b.
func distance(a, b string) int {
	older, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, prev, row = prev, row, older
	}
	return prev[len(b)]
}
