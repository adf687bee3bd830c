package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// writer is the appending side: an idempotent producer on sarama's connections and wire format. It exists because
// sarama's own producer hands every record through nine goroutines; here a call goes as a whole into the queues of
// its partitions, and one goroutine per leader sends what has gathered.
type writer struct {
	conf   *sarama.Config // of the senders' connections
	client finder
	send   func(*sender, []*batch) (*sarama.ProduceResponse, error)
	wg     sync.WaitGroup // senders, and searches for leaders
	asks   sync.WaitGroup // look-ups of topics
	stop   chan struct{}  // closed by close

	mu      sync.Mutex // no other lock is taken under it
	topics  map[string]*topic
	senders map[int32]*sender

	questions map[string]*question // by topic

	producer int64 // of new lanes
	epoch    int16
	spent    bool      // a topic was dropped: lanes with this producer may have a past that is forgotten; or there is none
	swept    time.Time // when topics that nobody appends to were looked for
}

// finder is what the writer needs of a client. It has connections of its own.
type finder interface {
	Partitions(topic string) ([]int32, error)
	Leader(topic string, partition int32) (*sarama.Broker, error)
	RefreshMetadata(topics ...string) error
	Incarnation(topic string) (string, error)
	InitProducerID() (*sarama.InitProducerIDResponse, error)
	Close() error
}

func dialWriter(cfg Config) (*writer, error) {
	client, err := sarama.NewClient(cfg.Brokers, cfg.finder())
	if err != nil {
		return nil, err
	}
	w, err := newWriter(cfg.producer(), finderClient{client}, (*sender).produce)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return w, nil
}

func newWriter(conf *sarama.Config, client finder, send func(*sender, []*batch) (*sarama.ProduceResponse, error)) (*writer, error) {
	w := &writer{
		conf: conf, client: client, send: send, stop: make(chan struct{}),
		topics: map[string]*topic{}, senders: map[int32]*sender{}, questions: map[string]*question{},
	}
	var err error
	w.producer, w.epoch, err = w.newID()
	if isDenied(err) { // who may only read is told so by an append
		w.spent, err = true, nil
	}
	return w, err
}

// newID asks for a producer id, which nobody else has, and its epoch. A broker that has just started has none yet.
func (w *writer) newID() (int64, int16, error) {
	for attempt := 0; ; attempt++ {
		res, err := w.client.InitProducerID()
		if err == nil && !errors.Is(res.Err, sarama.ErrNoError) {
			err = res.Err
		}
		if err == nil {
			return res.ProducerID, res.ProducerEpoch, nil
		}
		tries := metadataRetry
		if unsettled(err) {
			tries = settleRetry
		}
		var code sarama.KError
		if attempt >= tries || errors.As(err, &code) && isRejection(code) || !w.pause(retryBackoff) {
			return 0, 0, fmt.Errorf("ask for a producer id: %w", err)
		}
	}
}

// pause waits for d and reports false when the writer stops.
func (w *writer) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-w.stop:
		return false
	}
}

// find looks topic up, which may take as long as the network does.
func (w *writer) find(name string) error {
	ids, err := w.client.Partitions(name)
	if err != nil {
		return unnamed(err)
	}
	of, _ := w.client.Incarnation(name) // positions are of use without it
	for !w.learn(name, len(ids), of) {
		producer, epoch, err := w.newID()
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.producer, w.epoch, w.spent = producer, epoch, false
		w.mu.Unlock()
	}
	return nil
}

// learn notes that a topic has n partitions. It reports false, with nothing noted, where a new producer id is needed.
func (w *writer) learn(name string, n int, of string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweep()
	t := w.topics[name]
	if t == nil && w.spent {
		return false
	}
	if t == nil {
		t = &topic{name: name}
		w.topics[name] = t
	}
	t.of = of
	w.size(t, n)
	return true
}

// drop forgets t, of which nothing is under way, so that topics that come and go take no memory. The caller holds mu.
func (w *writer) drop(t *topic) {
	if t.routing || slices.ContainsFunc(t.lanes, func(l *lane) bool { return l.state != idle }) {
		return
	}
	delete(w.topics, t.name)
	w.spent = true
}

// sweep drops topics that nobody appends to, now and then. The caller holds mu.
func (w *writer) sweep() {
	now := time.Now()
	if now.Sub(w.swept) < metadataAge {
		return
	}
	w.swept = now
	for _, t := range w.topics {
		if now.Sub(t.asked) > 2*metadataAge { // it is asked every metadataAge, where there are appends
			w.drop(t)
		}
	}
}

// size gives t lanes for n partitions. The caller holds mu.
func (w *writer) size(t *topic, n int) {
	t.n, t.asked = n, time.Now()
	for p := len(t.lanes); p < n; p++ {
		t.lanes = append(t.lanes, &lane{topic: t, partition: int32(p), producer: w.producer, epoch: w.epoch})
	}
}

// queue places the records of c and queues them. It reports false, with nothing queued, where the topic has to be
// found first.
func (w *writer) queue(name string, c *call) bool {
	w.mu.Lock()
	t := w.topics[name]
	if t == nil || t.n == 0 {
		w.mu.Unlock()
		return false
	}
	for i := range c.records {
		if key := c.records[i].Key; key != nil {
			c.slots[i].partition = partitionOf(key, t.n)
			continue
		}
		c.slots[i].partition = t.sticky.next(t.n, t.down)
	}
	c.place(t.n)
	var few [4]*sender
	rouse := few[:0]
	for i := range c.pieces {
		l := t.lanes[c.pieces[i].partition]
		l.push(&c.pieces[i])
		if w.join(l) {
			rouse = append(rouse, l.sender)
		}
	}
	if c.at.Sub(t.asked) > metadataAge {
		t.stale, t.asked = true, c.at
		w.search(t)
	}
	w.mu.Unlock()
	for _, s := range rouse {
		s.rouse()
	}
	return true
}

// join brings l, in which something has been queued, to its sender and reports whether that has to be woken. The caller
// holds mu.
func (w *writer) join(l *lane) bool {
	asleep := l.state == idle
	switch {
	case asleep && (l.sender == nil || l.producer < 0):
		w.lose(l)
		return false
	case asleep:
		l.state = waiting
		l.sender.ready = append(l.sender.ready, l)
	}
	return l.sender != nil && l.sender.arrive(asleep)
}

// down tells whether partition p is without a leader that answers.
func (t *topic) down(p int) bool { return t.lanes[p].attempts > 0 }

// withdraw takes what was not sent of c from the queues and returns what became of its records.
func (w *writer) withdraw(name string, c *call) []slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.gone = true
	out := slices.Clone(c.slots)
	t := w.topics[name]
	if t == nil { // it may be another one by now, where nothing of c is queued
		return out
	}
	for i := range c.pieces {
		if p := int(c.pieces[i].partition); p < len(t.lanes) {
			t.lanes[p].remove(c)
		}
	}
	for i := range out {
		if p := int(out[i].partition); out[i].phase == queued && p < len(t.lanes) {
			out[i].err = t.lanes[p].locked
		}
	}
	return out
}

// close lets what is under way finish until ctx is done. All callers have left. What has not ended then ends when the
// connections are cut.
func (w *writer) close(ctx context.Context) error {
	close(w.stop)
	if !waitFor(ctx, &w.wg) {
		return fmt.Errorf("kafka: close: appends were not acknowledged: %w", context.Cause(ctx))
	}
	return nil
}
