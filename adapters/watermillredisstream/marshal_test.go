package watermillredisstream

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
)

func TestAForeignEntryLosesNoByte(t *testing.T) {
	msg, err := tolerant{redisstream.DefaultMarshallerUnmarshaller{}}.Unmarshal(map[string]any{"a": "\xff\x00", "b": "text"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(msg.Payload), `{"a":{"base64":"/wA="},"b":"text"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
