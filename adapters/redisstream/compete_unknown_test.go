package redisstream

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
)

// TestAReadOfAPartitionThatWasPausedMeanwhileIsNoticed has the reply of a read be lost, and the partition be paused when
// that is found out.
func TestAReadOfAPartitionThatWasPausedMeanwhileIsNoticed(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw, b := client(t, addr), open(t, Config{Connection: Connection{Addr: addr}})
	must(t, raw.XGroupCreateMkStream(t.Context(), topic, "g", "0").Err())
	store(t, b, topic, 0, 1)
	r, s := idleReader(t, b, topic)
	pend(t, raw, topic, "m", 1)
	r.Pause(s.claim)
	r.readopt()
	r.Resume(s.claim)
	comes(t, r)
}

// TestABusyMemberFindsWhatItDoesNotKnowOf has entries become pending for a member at any time, as by a read whose
// connection broke long ago, while it keeps what it holds from others.
func TestABusyMemberFindsWhatItDoesNotKnowOf(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw, b := client(t, addr), open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: time.Second})
	store(t, b, topic, 0, 1)
	c := join(t, b, competing(topic, "m"))
	seen := map[string]bool{entryID(fetch(t, c, 1)[0].Position): true} // and never acknowledges it
	for range 3 {
		tx := raw.TxPipeline() // before the member reads it
		id := tx.XAdd(t.Context(), &redis.XAddArgs{Stream: topic, Values: []any{"n", "1"}})
		tx.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "m", Streams: []string{topic, ">"}})
		_, err := tx.Exec(t.Context())
		must(t, err)
		d := fetch(t, c, 1)[0]
		for seen[entryID(d.Position)] { // again, where the member stood still for longer than ClaimIdle
			d = fetch(t, c, 1)[0]
		}
		if entryID(d.Position) != id.Val() {
			t.Errorf("got %s, want %s", d.Position, id.Val())
		}
		seen[id.Val()] = true
		must(t, c.Ack(t.Context(), d))
	}
}
