package redisstream

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// documentedRights is what the package's documentation grants to those of the words that begin its clauses.
func documentedRights(t *testing.T, who ...string) []any {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	must(t, err)
	_, text, _ := strings.Cut(string(doc), "// Who appends needs")
	text, _, _ = strings.Cut("appends"+text, " The keys are")
	var rights []any
	for clause := range strings.SplitSeq(strings.ReplaceAll(text, "\n//", ""), "; who ") {
		for part := range strings.SplitSeq(clause, ", with ") {
			for _, w := range who {
				if !strings.HasPrefix(part, w) {
					continue
				}
				for _, right := range regexp.MustCompile(`\+[a-z|]+`).FindAllString(part, -1) {
					rights = append(rights, right)
				}
			}
		}
	}
	return rights
}

// TestTheDocumentedRightsAreEnough has a maker, an appender and two members, of which one leaves, under either ordering.
func TestTheDocumentedRightsAreEnough(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"})
	as := func(user string, cfg Config, who ...string) *Backend {
		args := append([]any{"acl", "setuser", user, "reset", "on", ">secret", "~ds:*", "~{t*", "~t*"}, documentedRights(t, who...)...)
		must(t, r.Client().Do(t.Context(), args...).Err())
		cfg.Connection = Connection{Addr: r.Addr(), Username: user, Password: "secret"}
		return open(t, cfg)
	}
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			topic := "t-" + name
			maker := as("maker", Config{}, "appends", "makes topics")
			must(t, maker.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2}))
			appender := as("appender", Config{OrderedAppend: ordering == durable.PerKey}, "appends", "OrderedAppend")
			store(t, appender, topic, 0, 20)
			rights := []string{"consumes"}
			if ordering == durable.PerKey {
				rights = append(rights, "order per key")
			}
			b := as("member", Config{LeaseTTL: 2 * time.Second, ClaimIdle: 2 * time.Second}, rights...)
			b.shows = 200 * time.Millisecond
			g := competing(topic, "one")
			g.Ordering = ordering
			one := join(t, b, g)
			must(t, one.Ack(t.Context(), fetch(t, one, 10)...))
			g.Member = "two"
			two := join(t, b, g)
			must(t, one.Close(soon(t)))
			work(t, two, func() bool {
				lag, err := b.Lag(t.Context(), "g", topic)
				if err != nil {
					t.Fatal(err)
				}
				return lag[0].Lag+lag[1].Lag == 0 && lag[0].Pending+lag[1].Pending == 0
			}, "everything is acknowledged")
			if err := b.Health(t.Context()); err != nil {
				t.Error(err)
			}
			must(t, two.Close(soon(t)))
		})
	}
}
