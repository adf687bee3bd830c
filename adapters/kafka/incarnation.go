package kafka

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// incarnationTries is how many brokers are asked for the ids of topics.
const incarnationTries = 3

var errRemade = errors.New("the topic was deleted and made again")

// incarnationOf tells a topic apart from one of the same name that was deleted: the first eight characters of its id, as
// Kafka's tools print it. It is "" where the brokers have no ids.
func incarnationOf(id sarama.Uuid) string {
	if id == (sarama.Uuid{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:6])
}

// incarnations asks for those of topics; one that does not exist is not among them.
func incarnations(client sarama.Client, topics ...string) (map[string]string, error) {
	resp, err := oneAnswer(client, topics...)
	if err != nil {
		return nil, err
	}
	return incarnationsIn(resp)
}

// oneAnswer is what one broker tells of topics. The client itself may know of them from another one.
func oneAnswer(client sarama.Client, topics ...string) (resp *sarama.MetadataResponse, err error) {
	for range incarnationTries {
		broker := client.LeastLoadedBroker()
		if broker == nil {
			return nil, sarama.ErrOutOfBrokers
		}
		if resp, err = broker.GetMetadata(sarama.NewMetadataRequest(client.Config().Version, topics)); err == nil {
			return resp, nil
		}
		_ = client.RefreshMetadata(topics...) // puts a broker that does not answer aside
	}
	return nil, err
}

func incarnationsIn(resp *sarama.MetadataResponse) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range resp.Topics {
		err := code(t.Err)
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			continue
		}
		if err != nil && !errors.Is(err, sarama.ErrLeaderNotAvailable) {
			return nil, fmt.Errorf("topic %q: %w", t.Name, err)
		}
		out[t.Name] = incarnationOf(t.Uuid)
	}
	return out, nil
}

// incarnation is that of one topic, ErrUnknownTopicOrPartition where it does not exist.
func incarnation(client sarama.Client, topic string) (string, error) {
	found, err := incarnations(client, topic)
	if err != nil {
		return "", err
	}
	id, ok := found[topic]
	if !ok {
		return "", sarama.ErrUnknownTopicOrPartition
	}
	return id, nil
}

// ofThis refuses a position, of the incarnation that it names, where topic is another one by now.
func ofThis(client sarama.Client, topic string, pos durable.Position) error {
	named := incarnationIn(pos)
	if named == "" {
		return nil
	}
	is, err := incarnation(client, topic)
	if err == nil && is != "" && is != named {
		err = fmt.Errorf("position %s of %q: %w: %w", pos, topic, errRemade, durable.ErrPositionExpired)
	}
	return err
}

// finderClient is a sarama client as the writer needs it.
type finderClient struct{ sarama.Client }

// Incarnation implements finder.
func (c finderClient) Incarnation(topic string) (string, error) { return incarnation(c.Client, topic) }

// remade ends the claims of topic, whose records are gone, and joins again, for those of its successor id. A claim that
// began while the brokers told no ids goes on: it is taken to be of id.
func (c *consumer) remade(topic, id string) {
	c.mu.Lock()
	of := c.where(func(h *held) bool { return h.claim.Topic() == topic && h.known && h.incarnation != id })
	var old []*held
	for _, h := range of {
		if h.incarnation == "" {
			h.incarnation = id
			continue
		}
		old = append(old, h)
	}
	for _, h := range old {
		c.beginDrain(h)
		c.drop(h)
	}
	c.mu.Unlock()
	for _, h := range old {
		h.claim.Lose(fmt.Errorf("%w: %w", durable.ErrFenced, errRemade))
	}
	if len(old) > 0 {
		poke(c.rejoin)
	}
}

// meet notes the incarnation of a topic, where id is known, and logs when it is another one than before. The caller does
// not hold mu.
func (c *consumer) meet(topic, before, id string) {
	if id == "" {
		return
	}
	c.mu.Lock()
	if known := c.met[topic]; known != "" {
		before = known
	}
	c.met[topic] = id
	c.mu.Unlock()
	if before != "" && before != id {
		c.b.cfg.Logger.Warn("kafka: the topic was deleted and made again, going on at its oldest record",
			"group", c.group.Name, "topic", topic, "before", before, "now", id)
	}
}

// identify finds out whether the topic of h is the one that the claim, or the position of the group, is of. A position
// of another one means nothing: the claim begins at the oldest record, and one that began is given up. Only who places
// claims calls it.
func (c *consumer) identify(h *held, asked map[string]string) error {
	topic := h.part.topic
	id, known := asked[topic]
	if !known {
		var err error
		if id, err = incarnation(c.client, topic); err != nil {
			return err
		}
		asked[topic] = id
	}
	c.mu.Lock()
	before := h.incarnation
	c.mu.Unlock()
	c.meet(topic, before, id)
	if c.become(h, id) {
		c.remade(topic, id)
		return errRemade
	}
	return nil
}

// become notes that the topic of h is the one of id, and is true where h began in another one. A broker that tells no
// id, as those that are not upgraded yet, takes back nothing.
func (c *consumer) become(h *held, id string) (another bool) {
	c.mu.Lock() // a review may come to remade at any time
	defer c.mu.Unlock()
	other := id != "" && h.incarnation != "" && id != h.incarnation
	if other && h.known {
		return true
	}
	if other {
		h.part.next, h.next, h.counts = -1, -1, nil
	}
	if id != "" {
		h.incarnation = id
	}
	h.known = true
	return false
}

// review looks for topics that were made again: a partition that has as many records as the old one had does not tell.
func (c *consumer) review() {
	c.mu.Lock()
	var topics []string
	for topic := range c.ownedLocked() {
		topics = append(topics, topic)
	}
	c.mu.Unlock()
	if len(topics) == 0 {
		return
	}
	found, err := incarnations(c.client, topics...)
	if err != nil {
		return // the next look is soon
	}
	for topic, id := range found {
		if id != "" {
			c.meet(topic, "", id)
			c.remade(topic, id)
		}
	}
}
