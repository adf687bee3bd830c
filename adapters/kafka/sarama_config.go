package kafka

import (
	"time"

	"github.com/IBM/sarama"
)

const (
	retryBackoff  = 100 * time.Millisecond
	finderTimeout = 3 * time.Second
	channelBuffer = 256 // between the stages of sarama, its own default
	metadataRetry = 3
	settleRetry   = 50 // while a broker that has just started is not ready
)

// base is what all clients have in common.
func (c Config) base() *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = c.ClientID
	s.Version = sarama.V2_8_0_0
	s.ChannelBufferSize = channelBuffer
	s.Net.DialTimeout = c.DialTimeout
	s.Net.ReadTimeout = c.AppendTimeout + time.Second
	s.Net.WriteTimeout = c.AppendTimeout
	if c.TLS != nil {
		s.Net.TLS.Enable, s.Net.TLS.Config = true, c.TLS.Clone()
	}
	c.SASL.use(s)
	s.Metadata.Retry.Max = metadataRetry
	s.Metadata.Retry.Backoff = retryBackoff
	s.Metadata.Timeout = c.OpenTimeout
	s.Admin.Timeout = c.OpenTimeout
	return s
}

// producer is the configuration of the connections that records are sent on. A leader that is silent for half of the
// append timeout is given up, so that there is time left to try its successor.
func (c Config) producer() *sarama.Config {
	s := c.base()
	s.Net.MaxOpenRequests = 1 // sarama's condition for idempotence
	s.Producer.Idempotent = true
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true
	s.Producer.Timeout = c.AppendTimeout / 3
	s.Net.ReadTimeout = c.AppendTimeout / 2
	s.Producer.MaxMessageBytes = c.MaxMessageBytes
	c.hook(s)
	return s
}

// finder is the configuration of the client that finds topics and leaders for appends. It gives up on a broker that
// does not answer soon enough for another to be asked. Topics may come into being by being asked for, where the
// brokers allow that.
func (c Config) finder() *sarama.Config {
	s := c.base()
	s.Net.ReadTimeout = min(s.Net.ReadTimeout, finderTimeout)
	c.hook(s)
	return s
}

// reader is the configuration of clients that read without a group, and administer.
func (c Config) reader() *sarama.Config {
	s := c.base()
	s.Metadata.AllowAutoTopicCreation = false
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	s.Consumer.Return.Errors = true
	c.hook(s)
	return s
}

func (c Config) hook(s *sarama.Config) {
	if c.Sarama != nil {
		c.Sarama(s)
	}
	if c.files != nil && s.Net.TLS.Enable {
		c.secure(s)
	}
	if c.dialer != nil {
		c.dialer.use(s)
	}
}
