package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestEventsPassThroughAndTheMemoryIsSeen(t *testing.T) {
	var in, out bytes.Buffer
	if err := json.NewEncoder(&in).Encode(passOrder{Backend: "memory", Topic: "orders", Events: 2 * poolSize}); err != nil {
		t.Fatal(err)
	}
	if err := carryOut(t.Context(), &in, &out); err != nil {
		t.Fatal(err)
	}
	var got passed
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %q", err, &out)
	}
	want := []int64{poolSize / 5, poolSize / 2, poolSize, 2 * poolSize}
	if len(got.Memory) != len(want) || got.Elapsed <= 0 {
		t.Fatalf("got %+v, want marks after %v events", got, want)
	}
	for i, m := range got.Memory {
		if m.Events != want[i] || m.RSS <= 0 {
			t.Errorf("got %+v, want the memory after %d events", m, want[i])
		}
	}
}

func TestAnUnknownBackendIsNamed(t *testing.T) {
	err := carryOut(t.Context(), strings.NewReader(`{"backend":"papyrus"}`), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "papyrus") {
		t.Errorf("got %v, want an error that names it", err)
	}
}

func TestGrowthIsFromTheFirstMarkToTheLast(t *testing.T) {
	flat, grown := footprint{{RSS: 100}, {RSS: 180}, {RSS: 110}}, footprint{{RSS: 50}, {RSS: 75}}
	var none footprint
	if flat.growth() != 1.1 || grown.growth() != 1.5 || none.growth() != 0 {
		t.Errorf("got %v, %v and %v", flat.growth(), grown.growth(), none.growth())
	}
	if got := flat.worse(grown).String(); got != "50→75" {
		t.Errorf("the worse one is %q", got)
	}
	if got := grown.worse(nil).String(); got != "50→75" {
		t.Errorf("the worse one is %q", got)
	}
	for _, c := range []struct {
		memory footprint
		ok     bool
	}{{flat, true}, {grown, false}} {
		if _, ok := (goal{grow: 1.25}).judge(row{Memory: c.memory}); ok == nil || *ok != c.ok {
			t.Errorf("%v is judged %v, want %t", c.memory, ok, c.ok)
		}
	}
}
