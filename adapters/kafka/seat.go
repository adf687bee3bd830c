package kafka

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	seatTries = 20                     // answers in a row by which the coordinator moves or is not ready
	seatPause = 100 * time.Millisecond // between them
)

var (
	errLeft      = errors.New("the member has left its group")
	errNotJoined = errors.New("the member has not joined its group yet")
)

// seat is a member's place in its group: it speaks the group protocol with the coordinator. Joins have a connection of
// their own, because their answer waits for the other members and would hold up what comes behind it.
type seat struct {
	client             sarama.Client  // finds the coordinator
	slow               *sarama.Config // of the connection for joins
	quick              *sarama.Config // of the connection for everything else
	group              string
	instance           *string // group.instance.id of a static member
	strategy           sarama.BalanceStrategy
	session, rebalance time.Duration

	mu         sync.Mutex // never held over I/O
	id         string
	generation int32 // -1: no member
	joining    bool
	leaving    bool // no join any more
	closed     bool // nothing any more
	joins      *sarama.Broker
	side       *sarama.Broker
}

// membership is what a request was made under.
type membership struct {
	id         string
	generation int32
	joining    bool
}

func (s *seat) now() membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return membership{s.id, s.generation, s.joining}
}

// forget gives the place up: the next join asks for a new one.
func (s *seat) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.generation = "", -1
}

// connection returns the open connection at, or opens it.
func (s *seat) connection(at **sarama.Broker, conf *sarama.Config) (*sarama.Broker, error) {
	s.mu.Lock()
	b, closed := *at, s.closed
	s.mu.Unlock()
	if closed {
		return nil, errLeft
	}
	if b != nil {
		return b, nil
	}
	coordinator, err := s.client.Coordinator(s.group)
	if err != nil {
		return nil, err
	}
	if b, err = dial(coordinator.Addr(), conf); err != nil {
		_ = s.client.RefreshCoordinator(s.group)
		return nil, err
	}
	s.mu.Lock()
	other := *at
	if other == nil && !s.closed {
		*at = b
	}
	closed = s.closed
	s.mu.Unlock()
	if closed || other != nil {
		_ = b.Close()
	}
	if closed {
		return nil, errLeft
	}
	if other != nil {
		return other, nil
	}
	return b, nil
}

// dial opens a connection that belongs to the caller alone.
func dial(addr string, conf *sarama.Config) (*sarama.Broker, error) {
	b := sarama.NewBroker(addr)
	if err := b.Open(conf); err != nil {
		return nil, err
	}
	if _, err := b.Connected(); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return b, nil
}

// judge looks at the result of a request on the connection at and forgets the connection where it is of no use.
func (s *seat) judge(at **sarama.Broker, b *sarama.Broker, err error) error {
	var code sarama.KError
	if err == nil || errors.As(err, &code) && !moved(code) {
		return err
	}
	s.mu.Lock()
	if *at == b {
		*at = nil
	}
	s.mu.Unlock()
	_ = b.Close()
	_ = s.client.RefreshCoordinator(s.group)
	return err
}

// moved tells whether code means that another broker coordinates the group now.
func moved(code sarama.KError) bool {
	return errors.Is(code, sarama.ErrNotCoordinatorForConsumer) || errors.Is(code, sarama.ErrConsumerCoordinatorNotAvailable)
}

// unsettled tells whether err passes by itself: the coordinator moves, or is not ready.
func unsettled(err error) bool {
	var code sarama.KError
	return errors.As(err, &code) && (moved(code) || errors.Is(code, sarama.ErrOffsetsLoadInProgress) ||
		errors.Is(code, sarama.ErrRebalanceInProgress) || errors.Is(code, sarama.ErrUnstableOffsetCommit))
}

// unseated tells whether err means that the group no longer knows the member.
func unseated(err error) bool {
	return errors.Is(err, sarama.ErrUnknownMemberId) || errors.Is(err, sarama.ErrIllegalGeneration) ||
		errors.Is(err, sarama.ErrFencedInstancedId)
}

// cut tells whether err is that of a connection, not an answer of the coordinator.
func cut(err error) bool {
	var code sarama.KError
	return err != nil && !errors.As(err, &code) && !errors.Is(err, errLeft) && !errors.Is(err, errNotJoined)
}

// patiently repeats do while its error is worth it: mostly unsettled.
func patiently(again func(error) bool, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if !again(err) || try == seatTries {
			return err
		}
		time.Sleep(seatPause)
	}
}

// code is the error of an answer, nil where it has none.
func code(err sarama.KError) error {
	if errors.Is(err, sarama.ErrNoError) {
		return nil
	}
	return err
}

// beat tells the coordinator that the member lives.
func (s *seat) beat(m membership) error {
	if m.generation < 0 {
		return errNotJoined
	}
	b, err := s.connection(&s.side, s.quick)
	if err != nil {
		return err
	}
	resp, err := b.Heartbeat(&sarama.HeartbeatRequest{
		Version: 4, GroupId: s.group, MemberId: m.id, GenerationId: m.generation, GroupInstanceId: s.instance,
	})
	if err == nil {
		err = code(resp.Err)
	}
	return s.judge(&s.side, b, err)
}

// leave gives the place up, so that others have its partitions at once. A static member keeps it.
func (s *seat) leave() error {
	m := s.now()
	if m.id == "" || s.instance != nil {
		return nil
	}
	b, err := s.connection(&s.side, s.quick)
	if err != nil {
		return err
	}
	resp, err := b.LeaveGroup(&sarama.LeaveGroupRequest{
		Version: 4, GroupId: s.group, MemberId: m.id, Members: []sarama.MemberIdentity{{MemberId: m.id}},
	})
	if err == nil {
		err = code(resp.Err)
	}
	if err == nil || unseated(err) || unsettled(err) {
		s.forget()
		return nil
	}
	return s.judge(&s.side, b, err)
}

// interrupt ends a join that waits, and refuses others.
func (s *seat) interrupt() {
	s.mu.Lock()
	s.leaving = true
	b := s.joins
	s.joins = nil
	s.mu.Unlock()
	if b != nil {
		_ = b.Close()
	}
}

// shut closes the connections; what waits for an answer fails.
func (s *seat) shut() {
	s.mu.Lock()
	s.closed = true
	side := s.side
	s.side = nil
	s.mu.Unlock()
	if side != nil {
		_ = side.Close()
	}
	s.interrupt()
}
