package rediskit

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestThePasswordIsNeverShown(t *testing.T) {
	var log strings.Builder
	c := Config{Addr: "a:1", Username: "u", Password: "geheim"}
	slog.New(slog.NewTextHandler(&log, nil)).Info("open", "config", c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), log.String()} {
		if strings.Contains(text, "geheim") || !strings.Contains(text, "a:1") {
			t.Errorf("got %q, want the address and no password", text)
		}
	}
}

func TestValidateNamesTheSetting(t *testing.T) {
	for setting, c := range map[string]Config{
		"addr":     {Addr: "nowhere"},
		"db":       {Addr: "a:1", DB: -1},
		"password": {Addr: "a:1", Username: "u"},
		"timeout":  {Addr: "a:1", Timeout: -time.Second},
		"addrs":    {Sentinel: Sentinel{Addrs: []string{"a"}, Master: "m"}},
		"master":   {Sentinel: Sentinel{Addrs: []string{"a:1"}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("got %v, want an error that names %q", err, setting)
		}
	}
}

func TestPingNamesTheSetting(t *testing.T) {
	addr := testenv.Redis(t)
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"nobody listens": {Config{Addr: "127.0.0.1:1"}, `check the setting "addr"`},
		"bad password":   {Config{Addr: addr, Username: "nobody", Password: "wrong"}, `check the setting "password"`},
		"no sentinel":    {Config{Sentinel: Sentinel{Addrs: []string{"127.0.0.1:1"}, Master: "m"}}, `check the setting "sentinel"`},
		"no master":      {Config{Sentinel: Sentinel{Addrs: []string{addr}, Master: "m"}}, `check the setting "sentinel"`},
		"bad database":   {Config{Addr: addr, DB: 9999}, `check the setting "db"`},
	} {
		t.Run(name, func(t *testing.T) {
			client := c.config.Client(Control)
			defer func() { _ = client.Close() }()
			err := c.config.Ping(t.Context(), "redisstream", client)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestPingReachesTheServer(t *testing.T) {
	c := Config{Addr: testenv.Redis(t)}
	for _, role := range []Role{Control, Appending, Blocking} {
		client := c.Client(role)
		defer func() { _ = client.Close() }()
		if err := c.Ping(t.Context(), "redisstream", client); err != nil {
			t.Error(err)
		}
	}
}
