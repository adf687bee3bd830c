package redisstream

import (
	"strings"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestAnOldServerIsRefused(t *testing.T) {
	for info, refused := range map[string]bool{
		"# Server\r\nredis_version:6.2.14\r\nos:Linux\r\n": true,
		"redis_version:7.0.0\r\n":                          false,
		"redis_version:8.2.1\r\n":                          false,
		"redis_version:unstable\r\n":                       false,
		"":                                                 false,
	} {
		if _, err := serverOf(info); (err != nil) != refused || err != nil && !strings.Contains(err.Error(), "6.2.14") {
			t.Errorf("%q: got %v, want a refusal that names it: %t", info, err, refused)
		}
	}
}

func TestTheVersionMayBeHidden(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Settings: []string{"--rename-command", "INFO", ""}})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}})
	store(t, b, "t", 0, 1)
	fetch(t, join(t, b, competing("t", "m")), 1)
}
