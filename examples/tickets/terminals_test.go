package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
)

const terminals = 5

// even tells whether n of all entries are the part of one of five members. In order, it is two partitions of ten, between
// which the keys of a run are spread by chance.
func even(order string, n, all int) bool {
	most := 15 // percent
	if order == orderKey {
		most = 30
	}
	return 500*n >= all*(100-most) && 500*n <= all*(100+most)
}

// TestFiveTerminalsShareTheTickets has five processes of one member join before anything is published.
func TestFiveTerminalsShareTheTickets(t *testing.T) {
	for _, c := range []struct {
		order      string
		partitions int
	}{{orderNone, 1}, {orderNone, 10}, {orderKey, 10}} {
		t.Run(fmt.Sprintf("-order %s, %d partitions", c.order, c.partitions), func(t *testing.T) {
			client := privateRedis(t)
			file := filepath.Join(t.TempDir(), "redis.yaml")
			text, err := os.ReadFile(redisYAML)
			if err != nil {
				t.Fatal(err)
			}
			text = []byte(strings.Replace(string(text), "partitions: 10", fmt.Sprint("partitions: ", c.partitions), 1))
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			// The others take what a member does not that stands still in the second that a run lasts: three runs tell that
			// from members whose parts are never even.
			var parts []int
			for range 3 {
				parts = share(t, client, file, c.order, c.partitions)
				t.Logf("spread: %v", parts)
				if !slices.ContainsFunc(parts, func(n int) bool { return !even(c.order, n, 3000) }) {
					return
				}
			}
			t.Errorf("got %v of 3000, want five even parts", parts)
		})
	}
}

// share is how many entries of 3,000 each of five processes handles, everything once and in order.
func share(t *testing.T, client *redis.Client, file, order string, partitions int) (parts []int) {
	t.Helper()
	args := fmt.Sprintf("-config %s -role consumer -json -order %s", file, order)
	var open []*testenv.Process
	for range terminals {
		open = append(open, testenv.Reexec(t, "terminal", "T_ARGS="+args))
	}
	testenv.Await(t, soon, func() bool { return joined(t, client, order, partitions) == terminals }, "five members have their part")
	if r := runCommand(t, "-config", file, "-role", rolePublisher); r.Published != 3000 {
		t.Fatalf("got %+v, want 3000 published", r)
	}
	all := 0
	for _, p := range open {
		var r report
		testenv.Await(t, soon, func() bool { return len(p.Lines()) > 0 }, "a process has ended")
		if err := json.Unmarshal([]byte(p.Lines()[0]), &r); err != nil {
			t.Fatal(err)
		}
		all += r.Processed
		parts = append(parts, r.Processed)
		if r.OrderViolations != 0 && order == orderKey || r.Duplicates != 0 {
			t.Errorf("got %+v, want everything once and in order", r)
		}
	}
	if all < 3000 { // the publisher stood still, and they ended where nothing was left
		all += runCommand(t, "-config", file, "-role", roleConsumer, "-order", order).Processed
	}
	if all != 3000 {
		t.Fatalf("got %v, which are %d, want 3000", parts, all)
	}
	return parts
}

// joined is how many members have their part of the partitions.
func joined(t *testing.T, client *redis.Client, order string, partitions int) int {
	t.Helper()
	members := map[string]int{}
	for p := range partitions {
		key, lease := "tickets", "ds:lease:{tickets}:tickets"
		if partitions > 1 {
			key = fmt.Sprintf("{tickets:%d}", p)
			lease = "ds:lease:" + key + ":tickets"
		}
		if order == orderKey {
			members[client.Get(t.Context(), lease).Val()]++
			continue
		}
		for _, c := range client.XInfoConsumers(t.Context(), key, "tickets").Val() {
			members[c.Name]++
		}
	}
	if order == orderNone {
		return len(members)
	}
	return countOwners(members, partitions/terminals)
}

// countOwners is how many members own share partitions, by the tokens of the leases.
func countOwners(tokens map[string]int, share int) (n int) {
	owned := map[string]int{}
	for token, held := range tokens {
		name, _, _ := strings.Cut(token, ":")
		owned[name] += held
	}
	delete(owned, "")
	for _, held := range owned {
		if held == share {
			n++
		}
	}
	return n
}

// TestMembersShareTheTicketsOfKafka has them published when both members are there.
func TestMembersShareTheTicketsOfKafka(t *testing.T) {
	t.Setenv("KAFKA_BROKERS", strings.Join(testenv.Kafka(t), ","))
	text, err := os.ReadFile("kafka.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topic, file := testenv.Name(t, "tickets"), filepath.Join(t.TempDir(), "kafka.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "tickets", topic)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runCommand(t, "-config", file, "-members", "2", "-tickets", "600", "-work", "5ms", "-group", topic)
	checkComplete(t, r, 600)
	for name, n := range r.PerMember {
		if n < 600*20/100 {
			t.Errorf("member %s handled %d of 600, want about half", name, n)
		}
	}
	if len(r.PerMember) != 2 || r.OrderViolations != 0 {
		t.Errorf("got %+v, want two members, in order", r)
	}
}
