package filelog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/examples/customadapter/filelog"
	"github.com/dualstream/dualstream/examples/customadapter/reexec"
)

const (
	envDir = "FILELOG_DIR"
	topic  = "orders"
)

func TestMain(m *testing.M) {
	reexec.Main(m, map[string]func(){"appender": appendForEver, "member": holdForEver})
}

func helperBackend() *filelog.Backend {
	b, err := filelog.Open(filelog.Settings{Dir: os.Getenv(envDir)})
	if err != nil {
		panic(err)
	}
	return b
}

// appendForEver prints the id of a message once it is stored.
func appendForEver() {
	b := helperBackend()
	var wg sync.WaitGroup
	for key := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				msg := event(fmt.Sprintf("%d-%d-%06d", os.Getpid(), key, i), strconv.Itoa(key))
				if _, err := b.Append(context.Background(), topic, msg); err != nil {
					panic(err)
				}
				fmt.Println("stored", msg.UUID)
			}
		})
	}
	wg.Wait()
}

// holdForEver fetches and acknowledges the first message, and holds the second.
func holdForEver() {
	ctx := context.Background()
	c, err := helperBackend().Consume(ctx, durable.Group{Name: "g", Topics: durable.Topics(topic)})
	if err != nil {
		panic(err)
	}
	for _, then := range []string{"acked", "holds"} {
		ds, err := c.Fetch(ctx, 1)
		if err == nil && then == "acked" {
			err = c.Ack(ctx, ds...)
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(then, ds[0].Message.UUID)
	}
	select {}
}

func event(id, key string) *message.Message {
	msg := message.NewMessage(id, []byte("payload of "+id))
	msg.Metadata[durable.MetaPartitionKey] = key
	return msg
}

// stored is the ids in the topic, in order.
func stored(t *testing.T, b *filelog.Backend) (ids []string) {
	t.Helper()
	for r, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if err != nil || r.DecodeErr != nil {
			t.Fatal(err, r.DecodeErr)
		}
		ids = append(ids, r.Message.UUID)
	}
	return ids
}

func TestNothingAcknowledgedIsLostWhenAProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []string
	for range 4 {
		p := reexec.Start(t, "appender", envDir+"="+dir)
		reexec.Await(t, "a hundred appends", func() bool { return len(p.Lines()) > 100 })
		p.Kill()
		for _, line := range p.Lines() {
			if id, ok := strings.CutPrefix(line, "stored "); ok {
				acknowledged = append(acknowledged, id)
			}
		}
	}
	b := open(t, dir)
	defer func() { _ = b.Close(t.Context()) }()
	times, last := map[string]int{}, map[string]string{}
	for _, id := range stored(t, b) {
		times[id]++
		series := id[:len(id)-7]
		if id <= last[series] {
			t.Errorf("%s came after %s", id, last[series])
		}
		last[series] = id
	}
	for _, id := range acknowledged {
		if times[id] != 1 {
			t.Errorf("%s was acknowledged and is stored %d times", id, times[id])
		}
	}
}

func TestAMemberStandsInForOneThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	defer func() { _ = b.Close(t.Context()) }()
	if _, err := b.Append(t.Context(), topic, event("1", "a"), event("2", "a"), event("3", "a")); err != nil {
		t.Fatal(err)
	}
	p := reexec.Start(t, "member", envDir+"="+dir)
	p.AwaitLine("holds 2")
	c, err := b.Consume(t.Context(), durable.Group{Name: "g", Topics: durable.Topics(topic)})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if ds, err := c.Fetch(short, 1); err == nil {
		t.Errorf("got %s while another member works", ds[0].Message.UUID)
	}
	p.Kill()
	ds, err := c.Fetch(t.Context(), 10)
	if err != nil || len(ds) != 2 || ds[0].Message.UUID != "2" {
		t.Errorf("got %d deliveries and %v, want what was not acknowledged: 2 and 3", len(ds), err)
	}
}

// TestATornTailIsCut ends the log at every byte of its last record, as a crash can.
func TestATornTailIsCut(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	defer func() { _ = b.Close(t.Context()) }()
	if _, err := b.Append(t.Context(), topic, event("1", "a")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, topic+".log")
	before := read(t, path)
	if _, err := b.Append(t.Context(), topic, event("2", "a")); err != nil {
		t.Fatal(err)
	}
	after := read(t, path)
	for size := len(before); size <= len(after); size++ {
		image := before + after[len(before):size] // the header is still the old one
		if err := os.WriteFile(path, []byte(image), 0o600); err != nil {
			t.Fatal(err)
		}
		want := "1 3"
		if size == len(after) {
			want = "1 2 3" // it was whole
		}
		if _, err := b.Append(t.Context(), topic, event("3", "a")); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(stored(t, b), " "); got != want {
			t.Fatalf("cut at byte %d of %d: got %q, want %q", size, len(after), got, want)
		}
	}
}

func TestALogThatLostItsEndIsRefused(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	defer func() { _ = b.Close(t.Context()) }()
	if _, err := b.Append(t.Context(), topic, event("1", "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, topic+".log"), 50); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), topic, event("2", "a")); err == nil || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("got %v, want an error with the remedy", err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
