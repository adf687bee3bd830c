package grouptests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// TestMembersThatComeAndGoHandleEverythingOnce has 20 members, or 200 in a soak, join while others leave, all within a
// minute. Those of Redis and of Kafka have such a test of their own.
func TestMembersThatComeAndGoHandleEverythingOnce(t *testing.T) {
	t.Parallel()
	members := 20
	if os.Getenv("DUALSTREAM_SOAK") == "1" {
		members = 200
	}
	churn := func(t *testing.T, p place) {
		r := newRun(t, p)
		random := rand.New(rand.NewPCG(1, 2))
		var here []func() error
		minute := time.Now().Add(time.Minute)
		var leaving sync.WaitGroup
		defer leaving.Wait()
		dismiss := func(i int) {
			leave := here[i]
			here = slices.Delete(here, i, i+1)
			leaving.Go(func() {
				if err := leave(); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range members {
			here = append(here, r.member(fmt.Sprint("m", i), briefly, durable.ProcessOptions{Concurrency: 4}))
			r.publish(40)
			if len(here) > 5 {
				dismiss(random.IntN(len(here)))
			}
		}
		for len(here) > 1 {
			dismiss(0)
		}
		leaving.Wait()
		if over := time.Since(minute); over > 0 {
			t.Errorf("%d members have joined and left within a minute and %s, want a minute", members, over)
		}
		r.settle(r.promise(), 0)
	}
	onMemory(t, churn)
	onCluster(t, churn)
}
