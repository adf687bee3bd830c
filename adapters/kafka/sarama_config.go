package kafka

import (
	"time"

	"github.com/IBM/sarama"
)

const (
	retryBackoff  = 100 * time.Millisecond
	batchMessages = 100              // a batch leaves at once when it has so many
	batchWait     = time.Millisecond // or when it has waited so long
	channelBuffer = 256              // between the stages of sarama, its own default
	metadataRetry = 3
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
	if c.SASL.Mechanism != "" {
		s.Net.SASL.Enable = true
		s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASL.Mechanism)
		s.Net.SASL.User, s.Net.SASL.Password = c.SASL.User, c.SASL.Password
	}
	s.Metadata.Retry.Max = metadataRetry
	s.Metadata.Retry.Backoff = retryBackoff
	s.Metadata.Timeout = c.OpenTimeout
	s.Admin.Timeout = c.OpenTimeout
	return s
}

// producer is the configuration of an appending client; flush tunes when a batch leaves.
func (c Config) producer(flush func(*sarama.Config)) *sarama.Config {
	s := c.base()
	s.Net.MaxOpenRequests = 1 // sarama's condition for idempotence
	s.Producer.Idempotent = true
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true
	s.Producer.Timeout = c.AppendTimeout
	s.Producer.MaxMessageBytes = c.MaxMessageBytes
	s.Producer.Retry.Backoff = retryBackoff
	s.Producer.Retry.Max = max(3, int(c.AppendTimeout/retryBackoff))
	s.Producer.Partitioner = newPartitioner
	flush(s)
	c.hook(s)
	return s
}

func immediate(*sarama.Config) {}

func batched(s *sarama.Config) {
	s.Producer.Flush.Messages = batchMessages
	s.Producer.Flush.Frequency = batchWait
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
}
