package redisstream

import (
	"errors"
	"fmt"
	"sync"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// refusals is what a member is denied at the moment, by which of its goroutines (a reader, or a word) is denied it. Fetch
// tells each once, Health as long as it lasts. The zero value is ready for use.
type refusals struct {
	mu   sync.Mutex
	last map[any]error
	news error
}

// note keeps err of who where it is a refusal of the user, and tells whether Fetch has something to tell.
func (r *refusals) note(who any, err error) (news bool) {
	if err == nil || !errors.Is(err, durable.ErrDenied) && !rediskit.Denied(err) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last[who] != nil {
		return false
	}
	if r.last == nil {
		r.last = map[any]error{}
	}
	if !errors.Is(err, durable.ErrDenied) {
		err = passing(err)
	}
	r.last[who], r.news = err, err
	return true
}

// over forgets what who was denied: it is granted, or no longer asked for.
func (r *refusals) over(who any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, who)
	if len(r.last) == 0 {
		r.news = nil
	}
}

// tell is what Fetch tells of, once.
func (r *refusals) tell() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.news
	r.news = nil
	return err
}

// lasting is one of what is denied now.
func (r *refusals) lasting() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.last {
		return err
	}
	return nil
}

// denied is the error of a refusal that a member in group is told of.
func denied(group string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstream: group %q: %w", group, err)
}

func (m *competitor) denied() error { return denied(m.group.Name, m.refused.lasting()) }

func (c *ordered) denied() error { return denied(c.group.Name, c.refused.lasting()) }

// refusedMembers is what members of this backend are denied now.
func (b *Backend) refusedMembers() error {
	b.members.mu.Lock()
	open := make([]durable.Consumer, 0, len(b.members.open))
	for c := range b.members.open {
		open = append(open, c)
	}
	b.members.mu.Unlock()
	var errs []error
	for _, c := range open {
		if m, ok := c.(interface{ denied() error }); ok {
			errs = append(errs, m.denied())
		}
	}
	return errors.Join(errs...)
}
