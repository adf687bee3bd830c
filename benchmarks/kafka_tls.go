package main

import (
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
)

// kafkaTLS is one broker that demands TLS and certificates of the clients that are measured.
func (l *lab) kafkaTLS() (*cluster, error) {
	if l.behind != nil {
		return l.behind, nil
	}
	var server *testenv.SecureKafka
	if err := l.tb.try(func() { server = testenv.StartSecureKafka(l.tb, kafkaOptions(1)) }); err != nil {
		return nil, err
	}
	secure, err := clientTLS(server.Certificates)
	if err != nil {
		return nil, err
	}
	c, err := newCluster(l, server.Brokers(), 1)
	if err != nil {
		return nil, err
	}
	c.dial, c.tls = []string{server.TLS}, secure
	l.behind = c
	return c, nil
}

// kafkaPlain is the broker of kafkaTLS without TLS.
func (l *lab) kafkaPlain() (*cluster, error) {
	c, err := l.kafkaTLS()
	if err != nil {
		return nil, err
	}
	plain := *c
	plain.dial, plain.tls = c.brokers, nil
	return &plain, nil
}

// kafkaTLSPaths compare appending and consuming over TLS with what the raw client does over TLS.
func kafkaTLSPaths() []path {
	var records stock
	return []path{{
		name: "kafka-append-100-tls", goal: goal{atLeast: 0.90},
		subjects: []subject{
			appending(subjectRaw, rawKafka((*lab).kafkaTLS, flush{100, time.Millisecond}), batches(100)),
			appending(subjectOurs, oursKafka((*lab).kafkaTLS), batches(100)),
		},
	}, {
		name: "kafka-consume-tls", goal: goal{tls: 0.90}, subjects: []subject{
			records.consuming(subjectRaw, kafkaRate, rawKafkaConsumer((*lab).kafkaTLS)),
			records.consuming(subjectOurs, kafkaRate, oursKafkaConsumer((*lab).kafkaTLS)),
			records.consuming(subjectRawPlain, kafkaRate, rawKafkaConsumer((*lab).kafkaPlain)),
			records.consuming(subjectOursPlain, kafkaRate, oursKafkaConsumer((*lab).kafkaPlain)),
		},
	}}
}
