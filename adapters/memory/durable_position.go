package memory

import (
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

func (t *topic) position(partition int, offset int64) durable.Position {
	return durable.Position(adapterkit.AppendPosition(nil, partition, offset, t.incarnation))
}

var (
	_ adapterkit.Log   = (*place)(nil)
	_ adapterkit.Clock = (*place)(nil)
)

// Bounds implements adapterkit.Log.
func (pl *place) Bounds() (oldest, end int64) { return pl.log().bounds() }

// Since implements adapterkit.Clock.
func (pl *place) Since(t time.Time) int64 { return pl.log().since(t) }

// Behind implements adapterkit.Log.
func (pl *place) Behind(p durable.Position) (int64, error) {
	off, err := adapterkit.OffsetOf(p, pl.partition, pl.topic.incarnation)
	return off + 1, err
}
