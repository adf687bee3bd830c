package redisstream

import (
	"slices"
	"testing"
)

func FuzzAReplyNeverPanics(f *testing.F) {
	f.Add([]byte("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n"))
	f.Add([]byte("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*-1\r\n"))
	f.Add([]byte("*999999\r\n$-1\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		streams, err := new(Backend).rawStreams(raw)
		for key, es := range streams {
			for _, e := range es {
				if err != nil || e.id == "" || e.msg == nil && len(e.fields) == 0 {
					t.Errorf("stream %q: got entry %+v with error %v", key, e, err)
				}
			}
		}
	})
}

func TestTheRawReplyOfAForeignEntry(t *testing.T) {
	raw := "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n"
	streams, err := new(Backend).rawStreams([]byte(raw))
	if err != nil || len(streams["s"]) != 1 || streams["s"][0].id != "1-0" || !slices.Equal(streams["s"][0].fields, []any{"k", "v"}) {
		t.Errorf("got %v, %v, want one entry with its field", streams, err)
	}
	for cut := range len(raw) {
		if _, err := new(Backend).rawStreams([]byte(raw[:cut])); err == nil {
			t.Errorf("a reply cut at %d is accepted", cut)
		}
	}
}
