// Package readertests proves durable.Reader and every start of groups and readers on the memory adapter, a real Redis
// and a real Kafka.
package readertests
