package testenv

import "testing"

func TestTheSharedServersAnswer(t *testing.T) {
	t.Log(Redis(t))
	t.Log(Kafka(t))
}
