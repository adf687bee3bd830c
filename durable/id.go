package durable

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

const (
	idRandom = 10 // random bytes of an id
	idLength = 36 // characters of an id
	mostIDs  = 64 // made at a time
)

// NewID returns a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits.
func NewID() string {
	var random [idRandom]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	var text [idLength]byte
	writeID(text[:], uint64(time.Now().UnixMilli()), random[:])
	return string(text[:])
}

// idSource makes ids of one moment, several at a time.
type idSource struct{ texts string }

// next is a new id; about want will be asked for.
func (s *idSource) next(want int) string {
	if s.texts == "" {
		s.texts = newIDs(max(1, min(want, mostIDs)))
	}
	id := s.texts[:idLength]
	s.texts = s.texts[idLength:]
	return id
}

// newIDs is n ids one after the other.
func newIDs(n int) string {
	var random [mostIDs * idRandom]byte
	_, _ = rand.Read(random[:n*idRandom]) // never fails since Go 1.24
	ms := uint64(time.Now().UnixMilli())
	text := make([]byte, n*idLength)
	for i := range n {
		writeID(text[i*idLength:(i+1)*idLength], ms, random[i*idRandom:(i+1)*idRandom])
	}
	return string(text)
}

// writeID writes the id of a millisecond and 10 random bytes to dst.
func writeID(dst []byte, ms uint64, random []byte) {
	var b [16]byte
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	copy(b[6:], random)
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	hex.Encode(dst[0:8], b[0:4])
	hex.Encode(dst[9:13], b[4:6])
	hex.Encode(dst[14:18], b[6:8])
	hex.Encode(dst[19:23], b[8:10])
	hex.Encode(dst[24:36], b[10:16])
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}
