package redisstream

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestPartitionsThatArePausedAndResumedKeepTheirOrder(t *testing.T) {
	f := newFleet(t, testenv.Redis(t), 3, calm)
	b := open(t, f.cfg)
	const n = 3000
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(strconv.Itoa(i), nil)
		msgs[i].Metadata[durable.MetaPartitionKey] = strconv.Itoa(i % 30)
	}
	for from := 0; from < n; from += 100 {
		if _, err := b.Append(soon(t), f.topic, msgs[from:from+100]...); err != nil {
			t.Fatal(err)
		}
	}
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(f.topic), Start: durable.Oldest()}).(*ordered)
	var toggling sync.WaitGroup
	claims := make(chan *durable.Claim, n)
	end := make(chan struct{})
	toggling.Go(func() {
		var seen []*durable.Claim
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case claim := <-claims:
				seen = append(seen, claim)
				c.Pause(seen[rand.N(len(seen))])
				c.Resume(seen[rand.N(len(seen))])
			case <-tick.C:
				for _, claim := range seen {
					c.Resume(claim)
				}
			case <-end:
				return
			}
		}
	})
	last := map[*durable.Claim]entryNo{}
	for got := 0; got < n; {
		ds, err := c.Fetch(soon(t), 7)
		if err != nil {
			t.Fatalf("got %d of %d entries, then %v", got, n, err)
		}
		for _, d := range ds {
			no := parseNo(entryID(d.Position))
			if last[d.Claim].compare(no) >= 0 {
				t.Fatalf("partition %d: %v came after %v", d.Claim.Partition(), no, last[d.Claim])
			}
			last[d.Claim] = no
			claims <- d.Claim
		}
		got += len(ds)
	}
	close(end)
	toggling.Wait()
}
