package kafka

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// requestBytes bounds a request unless one batch alone is larger.
const requestBytes = 16 << 20

// sender has the one connection to a leader and sends it one request after the other. What arrives meanwhile waits in
// the lanes and goes with the next request, so that a lone message never waits and many travel together.
type sender struct {
	w    *writer
	id   int32
	addr string
	wake chan struct{} // 1: one pending wake-up
	quit chan struct{} // closed, under the writer's lock, when the broker has another address now

	ready  []*lane // guarded by the writer's lock
	broker *sarama.Broker
	gathering
}

func newSender(w *writer, id int32, addr string) *sender {
	return &sender{w: w, id: id, addr: addr, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// rouse wakes the sender; it never blocks.
func (s *sender) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run ends when the writer stops or the sender is retired, after the request that is under way.
func (s *sender) run() {
	defer s.disconnect()
	for {
		select {
		case <-s.wake:
		case <-s.quit:
			return
		case <-s.w.stop:
			return
		}
		for s.step() {
		}
	}
}

// step sends what waits, if anything does.
func (s *sender) step() bool {
	batches := s.w.take(s)
	if len(batches) == 0 {
		return false
	}
	res, err := s.w.send(s, batches)
	pieces := 0
	for _, b := range batches {
		pieces += len(b.parts)
	}
	s.gather(pieces, s.w.settle(s, batches, res, err))
	return true
}

// produce sends batches and waits for the answer. An error that is not an uncertainError means that nothing was sent.
func (s *sender) produce(batches []*batch) (*sarama.ProduceResponse, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	res, err := s.broker.Produce(s.w.request(batches))
	if err == nil {
		return res, nil
	}
	s.disconnect()
	var encoding sarama.PacketEncodingError
	if errors.As(err, &encoding) {
		return nil, err
	}
	return nil, &uncertainError{err}
}

// uncertainError is the failure of a request that the broker may have carried out.
type uncertainError struct{ error }

func (e *uncertainError) Unwrap() error { return e.error }

// connect returns once there is a connection that has been authenticated. A broker that is silent at that is given up
// sooner than one that may be waiting for its replicas.
func (s *sender) connect() error {
	if s.broker != nil {
		return nil
	}
	conf, start := *s.w.conf, time.Now()
	conf.Net.ReadTimeout = min(conf.Net.ReadTimeout, finderTimeout)
	b := sarama.NewBroker(s.addr)
	if err := b.Open(&conf); err != nil {
		return err
	}
	if ok, err := b.Connected(); !ok {
		return errors.Join(sarama.ErrNotConnected, err)
	}
	s.broker = b
	if time.Since(start) >= conf.Net.ReadTimeout { // sarama goes on without the answer to its first question
		s.disconnect()
		return sarama.ErrNotConnected
	}
	conf.Net.ReadTimeout = s.w.conf.Net.ReadTimeout // of requests from now on
	return nil
}

func (s *sender) disconnect() {
	if s.broker != nil {
		_ = s.broker.Close() // of no use any more
		s.broker = nil
	}
}

// take makes batches of what waits for s.
func (w *writer) take(s *sender) []*batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*batch
	size := 0
	s.arrived = 0
	for len(s.ready) > 0 && size < requestBytes {
		l := s.ready[0]
		s.ready = s.ready[1:]
		b := l.batch
		if b == nil {
			b = l.fill(w.conf.Producer.MaxMessageBytes)
		}
		if b == nil {
			l.state = idle
			continue
		}
		l.state = sending
		size += b.size
		out = append(out, b)
	}
	if len(s.ready) == 0 {
		s.ready = nil
	}
	return out
}

// request is the wire format of batches.
func (w *writer) request(batches []*batch) *sarama.ProduceRequest {
	r := &sarama.ProduceRequest{
		RequiredAcks: sarama.WaitForAll, Timeout: int32(w.conf.Producer.Timeout.Milliseconds()),
		Version: produceVersion(w.conf.Version),
	}
	for _, b := range batches {
		r.AddBatch(b.lane.topic.name, b.lane.partition, b.wire(w.conf))
	}
	return r
}

// produceVersion is the newest format of the request that the configured version of Kafka knows.
func produceVersion(v sarama.KafkaVersion) int16 {
	for _, s := range []struct {
		since   sarama.KafkaVersion
		version int16
	}{
		{sarama.V3_7_0_0, 10},
		{sarama.V2_8_0_0, 9},
		{sarama.V2_4_0_0, 8},
		{sarama.V2_1_0_0, 7},
		{sarama.V2_0_0_0, 6},
		{sarama.V1_0_0_0, 5},
	} {
		if v.IsAtLeast(s.since) {
			return s.version
		}
	}
	return 3
}

// settle deals with the answer to batches, or with its absence, and returns how many calls it ended.
func (w *writer) settle(s *sender, batches []*batch, res *sarama.ProduceResponse, err error) int {
	w.mu.Lock()
	var done []*call
	if err != nil {
		w.leave(s)
	}
	for _, b := range batches {
		l := b.lane
		v, offset, reason := verdictOf(b, res, err)
		switch v {
		case stored:
			if offset >= 0 && offset < l.next {
				w.remade(l.topic)
			}
			done = l.stored(offset, done)
		case again:
			l.missed(reason)
			l.topic.stale = true
			l.sender = nil
			if !b.uncertain {
				l.giveBack()
			}
			if !b.uncertain && res != nil {
				l.bump()
			}
		case renumber:
			b.renumbered++
			l.bump()
		case split:
			l.most = (b.n + 1) / 2
			l.giveBack()
			l.bump()
		case refused:
			done = l.fail(durable.Rejected, translate(denied(reason, opWrite)), done)
		case failedFor:
			b.uncertain = true
			done = l.fail(durable.Unknown, translate(reason), done)
		}
		w.advance(l, s)
	}
	w.mu.Unlock()
	finish(done)
	return len(done)
}

func finish(done []*call) {
	for _, c := range done {
		close(c.done)
	}
}

// advance puts a lane that was sending where it belongs now. The caller holds mu; s, the caller's, needs no rousing.
func (w *writer) advance(l *lane, s *sender) {
	if l.batch != nil && l.batch.abandoned() {
		l.batch = nil
		l.bump()
	}
	switch {
	case l.batch == nil && l.empty():
		l.state, l.attempts, l.locked = idle, 0, nil
	case l.sender == nil || l.producer < 0:
		w.lose(l)
	default:
		l.state = waiting
		l.sender.ready = append(l.sender.ready, l)
		if l.sender != s {
			l.sender.rouse()
		}
	}
}
