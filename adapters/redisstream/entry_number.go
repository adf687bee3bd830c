package redisstream

// entryNumber is an entry id as numbers, which compare and hash faster than its text.
type entryNumber struct{ ms, seq uint64 }

// numberOf is the number of an id of the form that the server gives; zero for other text.
func numberOf(id string) entryNumber {
	var n entryNumber
	at := 0
	for ; at < len(id) && id[at] != '-'; at++ {
		d := id[at] - '0'
		if d > 9 {
			return entryNumber{}
		}
		n.ms = 10*n.ms + uint64(d)
	}
	for at++; at < len(id); at++ {
		d := id[at] - '0'
		if d > 9 {
			return entryNumber{}
		}
		n.seq = 10*n.seq + uint64(d)
	}
	return n
}
