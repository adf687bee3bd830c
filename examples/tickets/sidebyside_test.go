package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// onePartition is a file that is file with one partition.
func onePartition(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), file)
	changed := strings.Replace(string(text), "partitions: 10", "partitions: 1", 1)
	if changed == string(text) {
		t.Fatalf("%s has no 10 partitions", file)
	}
	if err := os.WriteFile(out, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOneMemberHandlesAHundredTicketsAtOnceInOnePartition has a hundred tickets of three entries each. A ticket's own
// entries come one after the other, so that no run takes less than three of its handlers; one whose tickets waited for
// each other would take three hundred.
func TestOneMemberHandlesAHundredTicketsAtOnceInOnePartition(t *testing.T) {
	const work = 0.5 // seconds
	memory := onePartition(t, "memory.yaml")
	privateRedis(t)
	for _, file := range []string{memory, onePartition(t, redisYAML)} {
		r := runCommand(t, "-config", file, "-tickets", "300", "-concurrency", "100", "-work", "500ms")
		checkComplete(t, r, 300)
		if r.AtOnce != 100 || r.OrderViolations != 0 || r.PerMember["1"] != 300 {
			t.Errorf("%s: got %+v, want 100 handlers of one member at once, in order", r.Backend, r)
		}
		if r.Seconds < 3*work || r.Seconds > 300*work/2 {
			t.Errorf("%s: got %v s, want no less than an entry's turn allows, and not the sum of all", r.Backend, r.Seconds)
		}
	}
}

func TestTheConcurrencyIsABound(t *testing.T) {
	r := runCommand(t, "-tickets", "60", "-concurrency", "7", "-work", "5ms")
	checkComplete(t, r, 60)
	if r.AtOnce < 1 || r.AtOnce > 7 {
		t.Errorf("got %d handlers at once, want at most 7", r.AtOnce)
	}
}

func TestTheKeysOfTheJSONAreTheseAndTheTableTellsTheTime(t *testing.T) {
	args := []string{"-tickets", "30", "-work", "1ms"}
	var text, diary bytes.Buffer
	if err := command(t.Context(), append(args, "-json"), &text, &diary); err != nil {
		t.Fatalf("%v: %s", err, &diary)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text.Bytes(), &keys); err != nil {
		t.Fatalf("%v: %q", err, &text)
	}
	for key, want := range map[string]string{
		"backend": `"memory"`, "order": `"key"`, "published": "30", "processed": "30", "duplicates": "0",
		"order_violations": "0", "per_member": `{"1":30}`,
	} {
		if got := string(keys[key]); got != want {
			t.Errorf("%q: got %s, want %s in %s", key, got, want, &text)
		}
	}
	for _, key := range []string{"seconds", "at_once"} {
		if n, err := strconv.ParseFloat(string(keys[key]), 64); err != nil || n <= 0 {
			t.Errorf("%q: got %s, want a number above 0", key, keys[key])
		}
	}
	if len(keys) != 9 {
		t.Errorf("got %d keys: %s", len(keys), &text)
	}

	text.Reset()
	if err := command(t.Context(), args, &text, &diary); err != nil {
		t.Fatalf("%v: %s", err, &diary)
	}
	rows := strings.Split(text.String(), "\n")
	i := slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, "run ") })
	if i < 0 {
		t.Fatalf("no row tells the time:\n%s", &text)
	}
	if words := strings.Fields(rows[i]); len(words) != 3 || words[2] != "s" {
		t.Errorf("got %q, want seconds", rows[i])
	} else if n, err := strconv.ParseFloat(words[1], 64); err != nil || n < 0 {
		t.Errorf("got %q, want a number of seconds", rows[i])
	}
}
