package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// deniedPause is how long a claim waits, whose topic the member may not read, until it asks again.
const deniedPause = time.Second

// The operations that the access rules of brokers tell apart.
const (
	opRead     = "Read"
	opWrite    = "Write"
	opCreate   = "Create"
	opDelete   = "Delete"
	opDescribe = "Describe"
)

// deniedError is a refusal by the access rules of the brokers, with what to do about it. It is a durable.ErrDenied.
type deniedError struct {
	err   error
	grant string
}

func (e *deniedError) Error() string {
	return fmt.Sprintf("%v: grant %s to the user of \"sasl.user\" or of the certificate in \"tls.cert_file\" (kafka-acls --add)", e.err, e.grant)
}

func (e *deniedError) Unwrap() []error { return []error{durable.ErrDenied, e.err} }

// isDenied tells whether err is a refusal by access rules, of what we ask for.
func isDenied(err error) bool { return grantOf(err, "") != "" }

// denied adds to a refusal by access rules which one is missing for the operation op. Other errors stay as they are.
func denied(err error, op string) error {
	var known *deniedError
	if grant := grantOf(err, op); grant != "" && !errors.As(err, &known) {
		return &deniedError{err, grant}
	}
	return err
}

// grantOf is what is to be granted where err is a refusal of op, else "".
func grantOf(err error, op string) string {
	switch {
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed):
		return op + " on the topic"
	case errors.Is(err, sarama.ErrGroupAuthorizationFailed):
		return op + " on the group"
	case errors.Is(err, sarama.ErrClusterAuthorizationFailed) && op == opWrite: // of a producer id
		return "Write on the topic, before Kafka 3.0 also IdempotentWrite on the cluster,"
	case errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return op + " on the cluster"
	default:
		return ""
	}
}

// rest leaves h alone for deniedPause, because the member may not read it. It goes on where it is once that is granted.
func (r *reader) rest(h *held, err error) {
	c := r.c
	c.mu.Lock()
	h.denied, h.resting = true, true
	c.mu.Unlock()
	c.report(fmt.Errorf("read %s/%d: %w", h.part.topic, h.part.partition, err))
	c.loops.Go(func() { // called by a loop, so that they have not ended
		select {
		case <-time.After(deniedPause):
		case <-c.life.Done():
		}
		c.mu.Lock()
		h.resting = false
		c.mu.Unlock()
		poke(r.wake)
	})
}
