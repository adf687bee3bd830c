package rediskit

// errand is one command of a batch on its way through a cluster.
type errand struct {
	from, to int // in the batch's wire
	slot     uint16
	ask      bool   // to be sent behind ASKING, to the node at
	at       string // "": the master of slot
	reply    []byte // nil: there is none yet
}

// errands are the n commands of wire, with the slot of the key of each: the fourth word of a script, else the second.
func errands(wire []byte, n int) ([]errand, error) {
	out := make([]errand, n)
	r := NewReply(wire)
	var key []byte
	var slot uint16
	for i := range out {
		e := &out[i]
		e.from = len(wire) - len(r.rest)
		words, at := r.Len(), 1
		for w := range words {
			word := r.Bytes()
			switch {
			case w == 0 && len(word) >= 4 && word[0]|0x20 == 'e' && word[1]|0x20 == 'v': // EVAL, EVALSHA
				at = 3
			case w == at && string(word) == string(key): // as the command before
			case w == at:
				key, slot = word, Slot(view(word))
			}
		}
		if r.bad || words <= at {
			return nil, ErrReply
		}
		e.to, e.slot = len(wire)-len(r.rest), slot
	}
	return out, nil
}
