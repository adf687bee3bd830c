package realtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/realtime"
)

// What an earlier version sent is read, and what is sent now is the same. The golden file is never changed.
func TestNotificationsAreThoseOfVersion1(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "golden", "v1_notifications.json"))
	if err != nil {
		t.Fatal(err)
	}
	channel := realtime.Channel("order", "42")
	full := realtime.Notification{
		Channel: channel, ID: "0190", Type: "order.created", SourceType: "order", SourceID: `4"2 ü`,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Topic: "orders", Position: "3:1042",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for i, c := range []struct {
		want    realtime.Notification
		written bool // as it is in the file
	}{
		{want: full, written: true},
		{want: realtime.Notification{Channel: channel, ID: "0190"}, written: true},
		{want: realtime.Notification{Channel: channel, ID: "0190", Type: "order.created"}}, // of a later version
	} {
		got, err := realtime.ParseNotification(channel, []byte(lines[i]))
		if err != nil || got != c.want {
			t.Errorf("line %d: got %+v, %v, want %+v", i+1, got, err, c.want)
		}
		if text := string(c.want.AppendJSON(nil)); c.written && text != lines[i] {
			t.Errorf("line %d: got %s, want %s", i+1, text, lines[i])
		}
	}
}
