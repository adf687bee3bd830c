package kafka

import (
	"testing"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/internal/testenv"
)

// transacting is a producer with transactions in topic.
func transacting(t testing.TB, b *Backend, topic string) sarama.SyncProducer {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Net.MaxOpenRequests = 1
	conf.Producer.Idempotent, conf.Producer.RequiredAcks = true, sarama.WaitForAll
	conf.Producer.Return.Successes = true
	conf.Producer.Transaction.ID = topic
	p, err := sarama.NewSyncProducer(b.cfg.Brokers, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	testenv.Await(t, soon, func() bool { return p.TxnStatus()&sarama.ProducerTxnFlagReady != 0 }, "the producer is ready")
	return p
}

func record(topic, value string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
}

func batchOf(producer, first int64, n int) *sarama.Records {
	b := &sarama.RecordBatch{FirstOffset: first, LastOffsetDelta: int32(n - 1), ProducerID: producer, IsTransactional: true}
	for i := range n {
		b.Records = append(b.Records, &sarama.Record{OffsetDelta: int64(i)})
	}
	return &sarama.Records{RecordBatch: b}
}

func markerOf(producer, at int64) *sarama.Records {
	r := batchOf(producer, at, 1)
	r.RecordBatch.Control = true
	return r
}

func TestAbortedTransactionsAreLeftOutWhateverTheirOrderInTheResponse(t *testing.T) {
	block := &sarama.FetchResponseBlock{
		AbortedTransactions: []*sarama.AbortedTransaction{{ProducerID: 2, FirstOffset: 5}, {ProducerID: 1, FirstOffset: 0}},
		RecordsSet: []*sarama.Records{
			batchOf(1, 0, 2), batchOf(3, 2, 2), markerOf(1, 4), batchOf(2, 5, 1), batchOf(1, 6, 1), markerOf(2, 7), batchOf(2, 8, 2),
		},
	}
	p := part{end: -1}
	recs, err := p.scan(block)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, r := range recs {
		got = append(got, r.offset)
	}
	want := []int64{2, 3, 6, 8, 9}
	if len(got) != len(want) || p.next != 10 {
		t.Fatalf("got %v and next %d, want %v and 10", got, p.next, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got, want)
			break
		}
	}
}

func TestScanBeginsAndEndsWithinABatch(t *testing.T) {
	p := part{next: 3, end: 6}
	recs, err := p.scan(&sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{batchOf(1, 0, 10)}})
	if err != nil || len(recs) != 3 || recs[0].offset != 3 || recs[2].offset != 5 || !p.done() {
		t.Errorf("got %d records, %v, want 3 to 5", len(recs), err)
	}
}

func TestAPartialResponseAsksForMore(t *testing.T) {
	p := part{next: 3, end: -1, bytes: 10}
	partial := batchOf(1, 3, 1)
	partial.RecordBatch.PartialTrailingRecord = true
	recs, err := p.scan(&sarama.FetchResponseBlock{Partial: true, RecordsSet: []*sarama.Records{partial}})
	if err != nil || len(recs) != 0 || p.next != 3 || p.bytes != 20 {
		t.Errorf("got %d records, next %d, %d bytes, %v", len(recs), p.next, p.bytes, err)
	}
}
