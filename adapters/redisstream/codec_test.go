package redisstream

import (
	"maps"
	"strings"
	"testing"

	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
)

func FuzzMetadataAgreesWithTheOriginal(f *testing.F) {
	f.Add("k", "v", []byte{0x81, 0xa1, 'a', 0xc0})
	f.Add(strings.Repeat("k", 300), strings.Repeat("v", 70000), []byte{0xde, 0xff})
	f.Add("", "", []byte("\x81\xa1a\xc4\x01b"))
	f.Fuzz(func(t *testing.T, k, v string, raw []byte) {
		meta := message.Metadata{k: v}
		for i := range 20 {
			meta[strings.Repeat("x", 3*i+3)] = strings.Repeat("y", 20*i+20)
		}
		read(t, appendMetadata(nil, meta), meta)
		msg := message.NewMessage("u", nil)
		msg.Metadata = message.Metadata{"a": v}
		values, err := original.DefaultMarshallerUnmarshaller{}.Marshal("t", msg)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendMetadata(nil, msg.Metadata); string(got) != string(values[fieldMetadata].([]byte)) {
			t.Errorf("got %x, want the original's %x", got, values[fieldMetadata])
		}
		want, wantErr := original.DefaultMarshallerUnmarshaller{}.Unmarshal(map[string]any{fieldUUID: "u", fieldMetadata: string(raw)})
		got, err := decodeMetadata(string(raw))
		if (err == nil) != (wantErr == nil) || err == nil && !maps.Equal(got, want.Metadata) {
			t.Errorf("%x: got %v, %v, want what the original reads: %v", raw, got, err, wantErr)
		}
	})
}

func read(t *testing.T, bytes []byte, want message.Metadata) {
	t.Helper()
	msg, err := original.DefaultMarshallerUnmarshaller{}.Unmarshal(map[string]any{fieldUUID: "u", fieldMetadata: string(bytes)})
	if err != nil || !maps.Equal(msg.Metadata, want) {
		t.Errorf("the original reads %v, %v, want %v", msg, err, want)
	}
	if got, err := decodeMetadata(string(bytes)); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func BenchmarkAppendMetadata(b *testing.B) {
	meta := message.Metadata{"ce_id": "0190", "ce_type": "order.created", "ce_source": "/order", "ce_subject": "42"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendMetadata(buf[:0], meta)
	}
}
