package realtime_test

import (
	"math/rand/v2"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// globCases are globs and channels in which each rule of the language matters.
var globCases = map[string][]string{
	"*":             {"a", "events:a:b", "é"},
	"**":            {"a", "ab"},
	"?":             {"a", "ab", "é"},
	"??":            {"a", "ab", "é"},
	"a*":            {"a", "ab", "ba"},
	"*a":            {"a", "ba", "ab"},
	"a*b*c":         {"abc", "axbxc", "acb", "abcb"},
	"h[ae]llo":      {"hallo", "hello", "hillo", "hllo"},
	"h[^e]llo":      {"hello", "hallo", "h^llo"},
	"h[a-b]llo":     {"hallo", "hbllo", "hcllo", "h-llo"},
	"h[b-a]llo":     {"hallo", "hbllo", "hcllo"},
	"h[a-]llo":      {"hallo", "h-llo", "h]llo"},
	"[]a]":          {"a", "]", "a]", "]a]"},
	"[^]a":          {"a", "xa", "]a"},
	"[a":            {"a", "b", "[a"},
	"[":             {"[", "a"},
	"[^":            {"a", "^"},
	"a[":            {"a", "a["},
	"a[b-":          {"ab", "a-", "a"},
	`[\]]`:          {"]", `\`, "a"},
	`[a\-c]`:        {"a", "b", "-", "c"},
	`\*`:            {"*", "a", `\*`},
	`\`:             {`\`, "a"},
	`a\`:            {`a\`, "a"},
	`\\`:            {`\`, `\\`},
	"a*[b]":         {"ab", "axb", "axc"},
	"*[":            {"a", "a["},
	"*?":            {"a", "ab"},
	"?*":            {"a", "ab"},
	"events:*:7":    {"events:order:7", "events:a:b:7", "events:7"},
	"Events:*":      {"events:a", "Events:a"},
	"*a*a*a*a*b":    {"aaaaaaaaaaaaaaaa", "aaaaaaab"},
	"a**":           {"a", "b"},
	"[^a-c]*":       {"a", "d", "dd"},
	"[a-c][1-3]?":   {"a1x", "d1x", "c3", "b2z"},
	`h[\a-c]llo`:    {"hallo", "hbllo", "h-llo"},
	"events:[a-z]*": {"events:a", "events:Z", "events:"},
}

func TestMatchIsWhatRedisDoes(t *testing.T) {
	cases := map[string][]string{}
	for glob, channels := range globCases {
		cases[glob] = channels
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		glob := word(random, `ab-]*?[^\`, 7)
		for range 4 {
			cases[glob] = append(cases[glob], word(random, `ab-]^\[`, 4))
		}
	}
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(t), Protocol: 2})
	defer func() { _ = client.Close() }()
	for glob, channels := range cases {
		compareWithRedis(t, client, glob, channels)
	}
}

// compareWithRedis lets one subscriber listen to glob; the answer of PUBLISH is then whether Redis matches. A prefix
// of its own keeps other users of the server apart.
func compareWithRedis(t *testing.T, client *redis.Client, glob string, channels []string) {
	t.Helper()
	prefix := testenv.Name(t, "glob") + ":"
	sub := client.PSubscribe(t.Context(), prefix+glob)
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, channel := range channels {
		n, err := client.Publish(t.Context(), prefix+channel, "x").Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := realtime.Match(prefix+glob, prefix+channel); got != (n == 1) {
			t.Errorf("Match(%q, %q) = %v, Redis says %v", glob, channel, got, n == 1)
		}
	}
}

func TestEscapedChannelsMatchThemselvesAtRedis(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(t), Protocol: 2})
	defer func() { _ = client.Close() }()
	for _, s := range []string{`a*[1]\-^?`, "[", `\`, "a-b", "^", "]"} {
		glob := realtime.Escape(s)
		compareWithRedis(t, client, glob, []string{s, "x", s + "x"})
		if !realtime.Match(glob, s) {
			t.Errorf("Match(%q, %q) = false", glob, s)
		}
	}
}

// word is a random string of 1 to most bytes of alphabet.
func word(random *rand.Rand, alphabet string, most int) string {
	b := make([]byte, 1+random.IntN(most))
	for i := range b {
		b[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(b)
}
