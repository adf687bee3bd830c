package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// topicRight and groupRight are the access of a user to one topic and one group.
func topicRight(user, topic string, op sarama.AclOperation) testenv.Access {
	return testenv.Access{User: user, Resource: sarama.AclResourceTopic, Name: topic, Operation: op}
}

func groupRight(user, group string, op sarama.AclOperation) testenv.Access {
	return testenv.Access{User: user, Resource: sarama.AclResourceGroup, Name: group, Operation: op}
}

// guest is a backend of a new user with no rights, and a topic with one event. Its append timeout ends nothing.
func guest(t *testing.T, k *testenv.SecureKafka) (b *Backend, user, topic string) {
	t.Helper()
	user = testenv.Name(t, "user")
	k.AddUser(user)
	cfg := Config{Brokers: []string{k.SASL}, AppendTimeout: time.Hour, SASL: SASL{Mechanism: SASLScramSHA256, User: user, Password: testenv.KafkaPassword}}
	testenv.Await(t, soon, func() bool { // a broker hears of a new user a little later
		first, err := Open(t.Context(), patient(cfg))
		if err == nil {
			closeNow(t, first)
		}
		return err == nil
	}, "the user may log in")
	b = openOn(t, cfg)
	root := openOn(t, Config{Brokers: k.Brokers()})
	topic = newTopic(t, root, 1)
	mustAppend(t, root, topic, events(1, oneKey)...)
	return b, user, topic
}

// isRefusal checks that err names what it is about, which permission to grant and how, and that it is not taken for
// what passes by itself.
func isRefusal(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: was allowed", what)
		return
	}
	for _, w := range append(words, "grant ", "kafka-acls", "sasl.user", "not authorized") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: got %v, want %q in it", what, err, w)
		}
	}
	if !errors.Is(err, durable.ErrDenied) {
		t.Errorf("%s: got %v, want ErrDenied", what, err)
	}
	if errors.Is(err, durable.ErrUnavailable) || errors.Is(err, durable.ErrTopicNotFound) || strings.Count(err.Error(), "grant") != 1 {
		t.Errorf("%s: got %v, want one remedy, neither ErrUnavailable nor ErrTopicNotFound", what, err)
	}
}

// isNotAppended checks that an append of n messages is refused for good, soon, and the outcome is known.
func isNotAppended(t *testing.T, b *Backend, topic string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), soon, errors.New("the append was tried again and again"))
	defer cancel()
	_, err := b.Append(ctx, topic, events(n, oneKey)...)
	isRefusal(t, "append", err, topic, "Write on the topic")
	var batch *durable.BatchError
	if !errors.As(err, &batch) {
		t.Fatalf("got %v, want a BatchError", err)
	}
	for i, o := range batch.Outcomes {
		if o.Status != durable.Rejected && o.Status != durable.NotSent {
			t.Errorf("message %d is %v", i, o.Status)
		}
	}
}

func replayError(ctx context.Context, b *Backend, topic string) (n int, err error) {
	for _, err := range b.Replay(ctx, topic, durable.Range{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func mayOnlyRead(t *testing.T, k *testenv.SecureKafka) {
	b, user, topic := guest(t, k)
	group := testenv.Name(t, "g")
	_, err := replayError(t.Context(), b, topic)
	isRefusal(t, "replay without any right", err, topic, "Read on the topic")
	k.Allow(topicRight(user, topic, sarama.AclOperationRead))
	g := durable.Group{Name: group, Topics: durable.Topics(topic)}
	_, err = b.Consume(t.Context(), g)
	isRefusal(t, "join the group", err, group, "Read on the group")
	k.Allow(groupRight(user, group, sarama.AclOperationRead))
	c := join(t, b, g)
	ds := fetch(t, c, 1)
	if err := c.Ack(t.Context(), ds...); err != nil {
		t.Error(err)
	}
	closeNow(t, c)
	if n, err := replayError(t.Context(), b, topic); n != 1 || err != nil {
		t.Errorf("replayed %d, %v, want one record", n, err)
	}
	isNotAppended(t, b, topic, 2)
	isRefusal(t, "create a topic", b.CreateTopic(t.Context(), durable.TopicSpec{Name: "other"}), "other", "Create on the topic")
	isRefusal(t, "delete the topic", b.DeleteTopic(t.Context(), topic), topic, "Delete on the topic")
	isRefusal(t, "delete the group", b.DeleteGroup(t.Context(), group, topic), group, "Delete on the group")
	if err := b.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
}

func mayOnlyWrite(t *testing.T, k *testenv.SecureKafka) {
	b, user, topic := guest(t, k)
	isNotAppended(t, b, topic, 1)
	k.Allow(topicRight(user, topic, sarama.AclOperationWrite))
	mustAppend(t, b, topic, events(3, oneKey)...)
	_, err := replayError(t.Context(), b, topic)
	isRefusal(t, "replay", err, topic, "Read on the topic")
	group := testenv.Name(t, "g")
	g := durable.Group{Name: group, Topics: durable.Topics(topic)}
	_, err = b.Consume(t.Context(), g)
	isRefusal(t, "join the group", err, group, "Read on the group")
	_, err = b.Lag(t.Context(), group, topic)
	isRefusal(t, "lag", err, group, topic, "Describe on the group")
	k.Allow(groupRight(user, group, sarama.AclOperationRead))
	_, err = b.Consume(t.Context(), g)
	isRefusal(t, "consume the topic", err, group, topic, "Read on the topic")
}

// readingIsRevoked takes from a member first its topic and then its group, and gives them back: it says so every time,
// keeps its claim or comes by it again, and misses nothing.
func readingIsRevoked(t *testing.T, k *testenv.SecureKafka) {
	b, user, topic := guest(t, k)
	root := openOn(t, Config{Brokers: k.Brokers()})
	group := testenv.Name(t, "g")
	read, member := topicRight(user, topic, sarama.AclOperationRead), groupRight(user, group, sarama.AclOperationRead)
	k.Allow(read)
	k.Allow(member)
	c := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, c)
	ack := func(ds []durable.Delivery) {
		t.Helper()
		if err := c.Ack(t.Context(), ds...); err != nil {
			t.Error(err)
		}
	}
	ack(fetch(t, c, 1))
	for _, lost := range []struct {
		right testenv.Access
		grant string
	}{{read, "Read on the topic"}, {member, "Read on the group"}, {read, "Read on the topic"}} {
		k.Revoke(lost.right)
		isRefusal(t, "fetch", refusalOfFetch(t, c, lost.grant), group, lost.grant)
		var sick error
		testenv.Await(t, soon, func() bool { sick = b.Health(t.Context()); return sick != nil }, "a backend with a member that is denied is not healthy")
		isRefusal(t, "health", sick, group, lost.grant)
		msgs := events(3, oneKey)
		mustAppend(t, root, topic, msgs...)
		k.Allow(lost.right)
		ds := fetchThroughFaults(t, c, len(msgs))
		for i, d := range ds {
			if d.Message.UUID != msgs[i].UUID {
				t.Errorf("message %d: got %s, want %s", i, d.Message.UUID, msgs[i].UUID)
			}
		}
		ack(ds)
		testenv.Await(t, soon, func() bool { return b.Health(t.Context()) == nil }, "healthy again")
	}
}

// refusalOfFetch waits until Fetch fails for want of grant. A refusal of before may not have been told yet.
func refusalOfFetch(t *testing.T, c durable.Consumer, grant string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for {
		_, err := c.Fetch(ctx, 1)
		if !errors.Is(err, durable.ErrDenied) || strings.Contains(err.Error(), grant) {
			return err
		}
	}
}

// fetchThroughFaults is fetch that tries again after an error.
func fetchThroughFaults(t *testing.T, c durable.Consumer, n int) []durable.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var out []durable.Delivery
	for len(out) < n {
		ds, err := c.Fetch(ctx, n-len(out))
		if ctx.Err() != nil {
			t.Fatalf("after %d of %d: %v", len(out), n, err)
		}
		out = append(out, ds...)
	}
	return out
}

func writingIsRevoked(t *testing.T, k *testenv.SecureKafka) {
	b, user, topic := guest(t, k)
	write := topicRight(user, topic, sarama.AclOperationWrite)
	k.Allow(write)
	mustAppend(t, b, topic, events(1, oneKey)...)
	for range 2 {
		k.Revoke(write)
		isNotAppended(t, b, topic, 1)
		k.Allow(write)
		mustAppend(t, b, topic, events(1, oneKey)...)
	}
	root := openOn(t, Config{Brokers: k.Brokers()})
	if n, err := replayError(t.Context(), root, topic); n != 4 || err != nil {
		t.Errorf("%d are stored, %v, want 4: the first, one before and two after a refusal", n, err)
	}
}
