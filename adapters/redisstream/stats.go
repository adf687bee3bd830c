package redisstream

import "sync/atomic"

// Stats is what a Backend has counted since it was opened.
type Stats struct {
	LateAcks      int64 // acknowledgements under a lost claim, or of entries that another member had finished
	LostPending   int64 // entries that were deleted or trimmed while a member held them unfinished
	Trimmed       int64 // entries that this backend trimmed
	TrimmedUnread int64 // of these, what some group had not acknowledged (see Config.AllowUnread), at least
}

type stats struct {
	late, lost, trimmed, unread atomic.Int64
}

// Stats is what was counted so far.
func (b *Backend) Stats() Stats {
	return Stats{
		LateAcks: b.stats.late.Load(), LostPending: b.stats.lost.Load(),
		Trimmed: b.stats.trimmed.Load(), TrimmedUnread: b.stats.unread.Load(),
	}
}
