package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func someRows() []row {
	one, ours := 1.0, 0.874
	rows := []row{
		{Path: "redis-append-100", Subject: subjectRaw, EventsPerS: 250_000, RatioToRaw: &one, AllocsPerEvent: 9, Metric: "events/s", Turns: 3},
		{Path: "redis-append-100", Subject: subjectOurs, EventsPerS: 218_500, RatioToRaw: &ours, RatioError: 0.012, AllocsPerEvent: 4.2, Metric: "events/s", Turns: 3},
	}
	rows[1].Goal, rows[1].Reached = goal{atLeast: 0.9}.judge(rows[1])
	return rows
}

func TestJSONIsOneObjectARow(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out, true)
	r.add(someRows())
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2:\n%s", len(lines), out.String())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{
		"path": "redis-append-100", "subject": "dualstream", "events_per_s": 218_500.0, "ratio_to_raw": 0.874,
		"ratio_error": 0.012, "allocs_per_event": 4.2, "goal": "≥ 0.90", "goal_reached": false,
	} {
		if got[k] != want {
			t.Errorf("%s = %v, want %v", k, got[k], want)
		}
	}
	if _, ok := got["memory"]; ok {
		t.Error("memory is there though nothing measured it")
	}
}

func TestTableNamesPathSubjectsAndGoals(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out, false)
	r.add(someRows())
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"redis-append-100", "dualstream", "218.5k", "0.874 ±0.012", "4.2", "≥ 0.90", "not reached", "\n0 of 1 goals reached; not reached: redis-append-100\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestGoalsAreJudgedByTheirKind(t *testing.T) {
	ratio := 1.1
	r := row{EventsPerS: 900_000, RatioToRaw: &ratio, P50us: 3e6}
	for _, c := range []struct {
		goal goal
		text string
		ok   bool
	}{
		{goal{atLeast: 1.5}, "≥ 1.50", false},
		{goal{atMost: 1.2}, "≤ 1.20", true},
		{goal{atMost: 1.3, aim: 1.2}, "≤ 1.30 (aim 1.20)", true},
		{goal{rate: 1e6}, "≥ 1.00M/s", false},
		{goal{rate: 5e5}, "≥ 500.0k/s", true},
		{goal{within: 4 * time.Second}, "≤ 4s", true},
		{goal{within: 2 * time.Second}, "≤ 2s", false},
	} {
		text, ok := c.goal.judge(r)
		if text != c.text || ok == nil || *ok != c.ok {
			t.Errorf("judge(%+v) = %q, %v; want %q, %v", c.goal, text, ok, c.text, c.ok)
		}
	}
	if _, ok := (goal{}).judge(r); ok != nil {
		t.Error("no goal was judged")
	}
}

func TestListNamesThePathsThatMatch(t *testing.T) {
	var out, log bytes.Buffer
	if err := run(context.Background(), []string{"-list", "-run", "^redis-append"}, &out, &log); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "redis-append-100\nredis-append-64callers\nredis-append-100-tls\nredis-append-100-ordered\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBadFlagsAreErrors(t *testing.T) {
	for _, args := range [][]string{{"-run", "("}, {"-dur", "0s"}, {"-reps", "0"}, {"-what"}, {"-run", "nothing-is-called-this"}} {
		var out bytes.Buffer
		if err := run(context.Background(), args, &out, &out); err == nil {
			t.Errorf("run(%q) is no error", args)
		} else if errors.Is(err, context.Canceled) {
			t.Errorf("run(%q) = %v", args, err)
		}
	}
}

func TestTurnsThatWereTakenAgainAreDisclosed(t *testing.T) {
	reached := true
	few := row{Goal: "≥ 0.95", Reached: &reached, Turns: 18, TakenAgain: 1}
	if few.disclose(); !*few.Reached || few.Goal != "≥ 0.95; 1 of 18 turns taken again" {
		t.Errorf("got %+v", few)
	}
	many := row{Goal: "≥ 0.95", Reached: &reached, Turns: 18, TakenAgain: 2}
	if many.disclose(); *many.Reached {
		t.Errorf("got %+v, want the goal missed", many)
	}
}
