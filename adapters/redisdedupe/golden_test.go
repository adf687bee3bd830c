package redisdedupe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// Markers of version 1 say the same to this one, and this one writes the same. The golden file, lines of key, value and
// meaning, is never changed.
func TestMarkersAreThoseOfVersion1(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "golden", "v1_markers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	addr := testenv.Redis(t)
	s, raw, group := open(t, at(addr)), redis.NewClient(&redis.Options{Addr: addr}), testenv.Name(t, "g")
	defer func() { _ = raw.Close() }()
	means := map[string]middleware.DedupeState{"handled": middleware.DedupeHandled, "busy": middleware.DedupeBusy}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(strings.ReplaceAll(line, "@group", group))
		if len(words) != 3 {
			continue
		}
		key, value, meaning := words[0], words[1], words[2]
		short := strings.TrimPrefix(key, "ds:dedupe:")

		if err := raw.Set(t.Context(), key, value, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		r := []middleware.Reservation{{Key: short, Token: 8, Lease: time.Minute}}
		if err := s.Reserve(t.Context(), r); err != nil || r[0].State != means[meaning] {
			t.Errorf("%s %s: got %v, %v, want %s", key, value, r[0].State, err, meaning)
		}

		if err := raw.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		r[0].Token = 18446744073709551615
		if err := s.Reserve(t.Context(), r); err != nil || r[0].State != middleware.DedupeReserved {
			t.Fatalf("got %v, %v, want it reserved", r[0].State, err)
		}
		if meaning == "handled" {
			if err := s.Settle(t.Context(), []middleware.Settlement{{Key: short, Token: r[0].Token, Keep: time.Minute}}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := raw.Get(t.Context(), key).Result(); err != nil || got != value {
			t.Errorf("%s: got %q, %v, want %q", key, got, err, value)
		}
		if left := raw.PTTL(t.Context(), key).Val(); left <= 0 || left > time.Minute {
			t.Errorf("%s: got %s to live, want up to a minute", key, left)
		}
	}
}
