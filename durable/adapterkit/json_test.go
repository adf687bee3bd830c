package adapterkit_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// How is a message kept in a store of lines or documents?
func ExampleMarshalMessage() {
	msg := message.NewMessage("1", []byte("hello"))
	msg.Metadata.Set(durable.MetaPartitionKey, "octocat")
	text, err := adapterkit.MarshalMessage(msg, time.Unix(0, 0).UTC())
	fmt.Println(string(text), err)
	rec := adapterkit.UnmarshalRecord(text)
	fmt.Println(rec.Message.UUID, string(rec.Message.Payload), rec.Key, rec.StoredAt.Unix())
	// Output:
	// {"at":"1970-01-01T00:00:00Z","uuid":"1","metadata":{"ce_partitionkey":"octocat"},"payload":"aGVsbG8="} <nil>
	// 1 hello octocat 0
}

func TestWhatMarshalMessageDidNotWriteIsThePayload(t *testing.T) {
	for _, text := range []string{"", "no JSON", "null", "{}", `{"order":42}`, `[1]`} {
		rec := adapterkit.UnmarshalRecord([]byte(text))
		if rec.DecodeErr == nil || string(rec.Message.Payload) != text {
			t.Errorf("%q: got %q, %v, want it as the payload and an error", text, rec.Message.Payload, rec.DecodeErr)
		}
	}
	zero := message.NewMessage("", nil)
	text, err := adapterkit.MarshalMessage(zero, time.Time{})
	if rec := adapterkit.UnmarshalRecord(text); err != nil || rec.DecodeErr != nil {
		t.Errorf("an empty message: got %v, %v", err, rec.DecodeErr)
	}
	zero.Metadata.Set("k", "\xff")
	if _, err := adapterkit.MarshalMessage(zero, time.Time{}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
