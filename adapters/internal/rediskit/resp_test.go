package rediskit

import (
	"bufio"
	"strings"
	"testing"
)

func TestALineMayBeLongerThanTheBuffer(t *testing.T) {
	for n := 1; n < 50; n++ {
		raw := "-" + strings.Repeat("$", n) + "\r\n"
		in := bufio.NewReaderSize(strings.NewReader(raw+":1\r\n"), 16)
		for _, want := range []string{raw, ":1\r\n"} {
			if got, err := ReadReply(in, nil); err != nil || string(got) != want {
				t.Fatalf("got %q, %v, want %q", got, err, want)
			}
		}
	}
}
