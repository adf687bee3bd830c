package rediskit

import "strings"

// slotCount is how many slots a cluster has.
const slotCount = 16384

// crcTable is the table of CRC16 XMODEM by half bytes.
var crcTable = [16]uint16{
	0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
}

// Slot is the cluster slot of key: that of its hash tag where it has one.
func Slot(key string) uint16 {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
			key = tag
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		c := key[i]
		crc = crc<<4 ^ crcTable[byte(crc>>12)^c>>4]
		crc = crc<<4 ^ crcTable[byte(crc>>12)^c&0xf]
	}
	return crc % slotCount
}
