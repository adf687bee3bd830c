package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// seen is what was selected.
type seen struct {
	total    int
	poisoned int // of them, by what their metadata say
}

// look has each do something with every event.
func look(events iter.Seq2[middleware.PoisonRecord, error], each func(middleware.PoisonRecord) error) (seen, error) {
	var s seen
	for p, err := range events {
		if err == nil {
			err = each(p)
		}
		if err != nil {
			return s, err
		}
		s.total++
		if p.Poisoned() {
			s.poisoned++
		}
	}
	return s, nil
}

// foreign tells whether nothing of what was selected has ever been poisoned.
func (s seen) foreign() bool { return s.total > 0 && s.poisoned == 0 }

func (s seen) doubt(topic string) string {
	return fmt.Sprintf("%s is not a poison topic: none of its %d events has ever been poisoned; name one such as %s%s",
		topic, s.total, topic, middleware.DefaultPoisonSuffix)
}

// explain prints why there is nothing to do, or that the topic is another one than was meant.
func (s seen) explain(ctx context.Context, r middleware.Redrive, out io.Writer) error {
	var err error
	switch {
	case s.foreign():
		_, err = fmt.Fprintln(out, "warning:", s.doubt(r.Topic))
	case s.total == 0 && missing(ctx, r):
		_, err = fmt.Fprintf(out, "nothing has been poisoned yet: there is no topic %s; a poison topic is made with its first event\n", r.Topic)
	}
	return err
}

// missing tells whether there is no such topic, as far as the backend says so.
func missing(ctx context.Context, r middleware.Redrive) bool {
	admin, ok := r.Backend.(durable.Administrator)
	if !ok {
		return false
	}
	_, err := admin.DescribeTopic(ctx, r.Topic)
	return errors.Is(err, durable.ErrTopicNotFound)
}
