package testenv

import (
	"os/exec"
	"strings"
	"testing"
)

// The clients that come with Apache Kafka, for [KafkaClient] and [StartKafkaClient].
const (
	ConsoleConsumer    = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	ConsoleProducer    = "org.apache.kafka.tools.ConsoleProducer"
	VerifiableConsumer = "org.apache.kafka.tools.VerifiableConsumer"
)

// kcat is a client on librdkafka.
func kcat() tool {
	return tool{"kcat", []string{"kcat"}, true, "install kcat (apt-get install kcat; brew install kcat)"}
}

// versionFlag makes the program tell its version and end.
func (x tool) versionFlag() string {
	if x.name == "kcat" {
		return "-V"
	}
	return "--version"
}

// KafkaClient is one of Kafka's Java clients with its arguments, to be run; its context is the test's.
func KafkaClient(t testing.TB, class string, args ...string) *exec.Cmd {
	t.Helper()
	command := kafkaClient(t, class, args)
	return exec.CommandContext(t.Context(), command[0], command[1:]...)
}

// StartKafkaClient runs one of Kafka's Java clients until the test ends it, or ends.
func StartKafkaClient(t testing.TB, class string, args ...string) *Process {
	t.Helper()
	return spawn(t, class[strings.LastIndex(class, ".")+1:], kafkaClient(t, class, args), nil)
}

func kafkaClient(t testing.TB, class string, args []string) []string {
	t.Helper()
	java, jars, err := kafkaTools(t.Context())
	must(t, "no Kafka client for this test", err)
	return append(append(jvm(java, jars, "-Xmx256m"), class), args...)
}

// Kcat is kcat with its arguments, to be run; its context is the test's.
func Kcat(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	path, err := kcat().path(t.Context())
	must(t, "no kcat for this test", err)
	return exec.CommandContext(t.Context(), path, args...)
}
