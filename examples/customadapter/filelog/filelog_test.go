package filelog_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/examples/customadapter/filelog"
)

func open(t testing.TB, dir string) *filelog.Backend {
	t.Helper()
	b, err := filelog.Open(filelog.Settings{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend { return open(t, dir) },
		NewTopic: func(t testing.TB, _ int) string {
			topic, b := "topic-"+rand.Text(), open(t, dir)
			for _, err := range b.Replay(t.Context(), topic, durable.Range{}) { // makes it
				t.Fatal(err)
			}
			_ = b.Close(t.Context())
			return topic
		},
		Foreign: func(t testing.TB, topic string) {
			text := "not JSON"
			line := fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(text)), text)
			image := read(t, filepath.Join(dir, topic+".log"))
			if err := os.WriteFile(filepath.Join(dir, topic+".log"), []byte(image+line), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestWhatJSONWouldChangeIsRefused(t *testing.T) {
	b := open(t, t.TempDir())
	defer func() { _ = b.Close(t.Context()) }()
	value := event("2", "a")
	value.Metadata["name"] = "\xff"
	for _, bad := range []*message.Message{value, event("\xff", "a")} {
		_, err := b.Append(t.Context(), topic, event("1", "a"), bad)
		var batch *durable.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, durable.ErrInvalid) || batch.Outcomes[1].Status != durable.Rejected {
			t.Errorf("got %v, want the second message rejected", err)
		}
	}
	if got := stored(t, b); len(got) != 0 {
		t.Errorf("got %v stored, want nothing", got)
	}
}
