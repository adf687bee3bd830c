package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// modelPartition is a partition as a broker keeps it for one producer: it refuses old epochs and gaps, and knows the
// last five batches again.
type modelPartition struct {
	epoch   int16
	next    int32
	recent  []modelBatch
	log     []string
	zombies []*sarama.RecordBatch // requests that were given up and still lie in a buffer somewhere
}

type modelBatch struct {
	first  int32
	n      int
	offset int64
}

func (p *modelPartition) store(b *sarama.RecordBatch) (sarama.KError, int64) {
	switch {
	case b.ProducerEpoch < p.epoch:
		return sarama.ErrInvalidProducerEpoch, -1
	case b.ProducerEpoch > p.epoch:
		if b.FirstSequence != 0 {
			return sarama.ErrOutOfOrderSequenceNumber, -1
		}
		p.epoch, p.next, p.recent = b.ProducerEpoch, 0, nil
	}
	for _, r := range p.recent {
		if r.first == b.FirstSequence && r.n == len(b.Records) {
			return sarama.ErrNoError, r.offset
		}
	}
	if b.FirstSequence != p.next {
		return sarama.ErrOutOfOrderSequenceNumber, -1
	}
	at := int64(len(p.log))
	for _, r := range b.Records {
		p.log = append(p.log, string(r.Value))
	}
	p.next += int32(len(b.Records))
	p.recent = append(p.recent, modelBatch{b.FirstSequence, len(b.Records), at})
	p.recent = p.recent[max(0, len(p.recent)-5):]
	return sarama.ErrNoError, at
}

// model is a cluster of one broker that fails in every way we know of. It is the writer's finder, too.
type model struct {
	mu         sync.Mutex
	rand       *rand.Rand
	calm       bool
	partitions []modelPartition
}

func (m *model) Partitions(string) ([]int32, error) { return make([]int32, len(m.partitions)), nil }
func (m *model) Leader(string, int32) (*sarama.Broker, error) {
	return sarama.NewBroker("model:1"), nil
}
func (m *model) RefreshMetadata(...string) error    { return nil }
func (m *model) Incarnation(string) (string, error) { return "", nil }
func (m *model) Close() error                       { return nil }
func (m *model) InitProducerID() (*sarama.InitProducerIDResponse, error) {
	return &sarama.InitProducerIDResponse{ProducerID: 1}, nil
}

func (m *model) send(s *sender, batches []*batch) (*sarama.ProduceResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.partitions {
		m.wake(&m.partitions[i])
	}
	fault := m.rand.IntN(8)
	if m.calm {
		fault = 7
	}
	if fault == 0 {
		return nil, errors.New("connection refused")
	}
	res := &sarama.ProduceResponse{Version: 9}
	for _, b := range batches {
		wire, p := *b.wire(s.w.conf), &m.partitions[b.lane.partition]
		wire.Records = slices.Clone(wire.Records)
		if fault == 1 {
			p.zombies = append(p.zombies, &wire)
			continue
		}
		code, at := m.answer(p, &wire)
		res.AddTopicPartition(b.lane.topic.name, b.lane.partition, code)
		res.GetBlock(b.lane.topic.name, b.lane.partition).Offset = at
	}
	if fault <= 2 { // the answer is lost, or the request is still on its way
		return nil, &uncertainError{errors.New("connection reset")}
	}
	return res, nil
}

// wake lets some of the forgotten requests arrive.
func (m *model) wake(p *modelPartition) {
	for len(p.zombies) > 0 && m.rand.IntN(2) == 0 {
		_, _ = p.store(p.zombies[0])
		p.zombies = p.zombies[1:]
	}
}

func (m *model) answer(p *modelPartition, b *sarama.RecordBatch) (sarama.KError, int64) {
	fault := m.rand.IntN(10)
	switch {
	case m.calm:
	case fault == 0:
		return sarama.ErrNotLeaderForPartition, -1
	case fault == 1 && len(b.Records) > 2:
		return sarama.ErrMessageSizeTooLarge, -1
	case fault == 2:
		return sarama.ErrPolicyViolation, -1
	case fault == 3:
		return sarama.ErrUnknown, -1
	case fault == 4:
		return sarama.ErrOutOfOrderSequenceNumber, -1
	case fault == 5:
		if code, _ := p.store(b); code != sarama.ErrNoError {
			return code, -1
		}
		return sarama.ErrRequestTimedOut, -1
	}
	return p.store(b)
}

// story is what the callers were told of each message, by payload.
type story struct {
	mu   sync.Mutex
	told map[string]durable.Status
	at   map[string]durable.Position
}

func (s *story) tell(msgs []*message.Message, ps []durable.Position, err error) {
	var b *durable.BatchError
	errors.As(err, &b)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range msgs {
		s.told[string(m.Payload)] = durable.Stored
		if b != nil {
			s.told[string(m.Payload)] = b.Outcomes[i].Status
		}
		s.at[string(m.Payload)] = ps[i]
	}
}

// check compares the story with what is stored.
func (s *story) check(t *testing.T, partitions []modelPartition) {
	t.Helper()
	times, place, last := map[string]int{}, map[string]durable.Position{}, map[string]int{}
	for p := range partitions {
		for at, id := range partitions[p].log {
			times[id]++
			place[id] = position(int32(p), int64(at), "")
			var caller, key, n int
			if _, err := fmt.Sscanf(id, "%d-%d-%d", &caller, &key, &n); err != nil {
				t.Fatal(err)
			}
			of := fmt.Sprint(caller, key)
			if n <= last[of] {
				t.Errorf("key %d of caller %d: %d is stored after %d", key, caller, n, last[of])
			}
			last[of] = n
		}
	}
	for id, status := range s.told {
		switch n := times[id]; status {
		case durable.Stored:
			if n != 1 || s.at[id] != "" && bare(s.at[id]) != place[id] {
				t.Errorf("%s: told stored at %q, is stored %d times, at %q", id, s.at[id], n, place[id])
			}
		case durable.Unknown:
			if n > 1 {
				t.Errorf("%s: told unknown, is stored %d times", id, n)
			}
		default:
			if n != 0 {
				t.Errorf("%s: told %v, is stored %d times", id, status, n)
			}
		}
	}
}

func TestWhatCallersAreToldIsTrueUnderEveryFault(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{rand: rand.New(rand.NewPCG(seed, 1)), partitions: make([]modelPartition, 2)}
			s := &story{told: map[string]durable.Status{}, at: map[string]durable.Position{}}
			b := modelBackend(t, m)
			var callers sync.WaitGroup
			for caller := range 6 {
				r := rand.New(rand.NewPCG(seed, uint64(caller+2)))
				callers.Go(func() { appendSome(b, s, caller, r) })
			}
			callers.Wait()
			m.mu.Lock()
			m.calm = true
			m.mu.Unlock()
			msg := events(1, oneKey)
			msg[0].Payload = []byte("99-0-1")
			if _, err := b.Append(t.Context(), "t", msg...); err != nil {
				t.Errorf("after the faults: %v", err)
			}
			if err := b.writer.close(t.Context()); err != nil {
				t.Error(err)
			}
			for i := range m.partitions {
				for _, z := range m.partitions[i].zombies {
					_, _ = m.partitions[i].store(z)
				}
			}
			s.check(t, m.partitions)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func modelBackend(t *testing.T, m *model) *Backend {
	t.Helper()
	cfg := Config{Brokers: []string{"model:1"}, AppendTimeout: 300 * time.Millisecond}.filled()
	w, err := newWriter(cfg.producer(), m, m.send)
	if err != nil {
		t.Fatal(err)
	}
	b := &Backend{cfg: cfg, writer: w}
	b.life, b.end = context.WithCancelCause(t.Context())
	return b
}

// appendSome appends one call after the other; some callers are impatient. The key of a message is its caller's.
func appendSome(b *Backend, s *story, caller int, r *rand.Rand) {
	n := [3]int{}
	for range 30 {
		msgs := make([]*message.Message, 1+r.IntN(6)*r.IntN(2))
		for i := range msgs {
			key := r.IntN(len(n))
			n[key]++
			msgs[i] = message.NewMessage("", fmt.Appendf(nil, "%d-%d-%d", caller, key, n[key]))
			msgs[i].Metadata.Set(durable.MetaPartitionKey, fmt.Sprint(caller, key))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(400))*time.Millisecond)
		ps, err := b.Append(ctx, "t", msgs...)
		cancel()
		s.tell(msgs, ps, err)
	}
}
