package watermilltests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// BookRoom is a command, RoomBooked the event that its handler publishes.
type (
	BookRoom   struct{ Room int }
	RoomBooked struct{ Room int }
)

// Watermill's buses and processors run unchanged: commands are handled once, their events by every group.
func TestCQRSRunsUnchanged(t *testing.T) {
	for name, open := range backends() {
		t.Run(name, func(t *testing.T) { hotel(t, open(t)) })
	}
}

func hotel(t *testing.T, b durable.Backend) {
	const rooms = 20
	prefix := testenv.Name(t, "cqrs")
	topic := func(name string) string { return prefix + "." + name }
	pub, _ := facades(t, b, "unused")
	logger, marshaler := watermill.NopLogger{}, cqrs.JSONMarshaler{GenerateName: cqrs.StructName}
	router := must(message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, logger))(t)
	commands := must(cqrs.NewCommandBusWithConfig(pub, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(p cqrs.CommandBusGeneratePublishTopicParams) (string, error) { return topic(p.CommandName), nil },
		Marshaler:            marshaler, Logger: logger,
	}))(t)
	events := must(cqrs.NewEventBusWithConfig(pub, cqrs.EventBusConfig{
		GeneratePublishTopic: func(p cqrs.GenerateEventPublishTopicParams) (string, error) { return topic(p.EventName), nil },
		Marshaler:            marshaler, Logger: logger,
	}))(t)
	commandProcessor := must(cqrs.NewCommandProcessorWithConfig(router, cqrs.CommandProcessorConfig{
		GenerateSubscribeTopic: func(p cqrs.CommandProcessorGenerateSubscribeTopicParams) (string, error) {
			return topic(p.CommandName), nil
		},
		SubscriberConstructor: func(cqrs.CommandProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return prepared(t, b, prefix+"-commands", topic("BookRoom"))
		},
		Marshaler: marshaler, Logger: logger,
	}))(t)
	eventProcessor := must(cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(p cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) {
			return topic(p.EventName), nil
		},
		SubscriberConstructor: func(p cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return prepared(t, b, prefix+"-"+p.HandlerName, topic("RoomBooked"))
		},
		Marshaler: marshaler, Logger: logger,
	}))(t)
	book := &ledger{all: make(chan struct{}), want: 2 * rooms}
	err := errors.Join(
		commandProcessor.AddHandlers(cqrs.NewCommandHandler("book", func(ctx context.Context, c *BookRoom) error {
			if book.fails(c.Room) {
				return errors.New("try again")
			}
			return events.Publish(ctx, &RoomBooked{c.Room})
		})),
		eventProcessor.AddHandlers(
			cqrs.NewEventHandler("bill", func(_ context.Context, e *RoomBooked) error { return book.note("bill", e.Room) }),
			cqrs.NewEventHandler("clean", func(_ context.Context, e *RoomBooked) error { return book.note("clean", e.Room) }),
		))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.Background()) }()
	for room := range rooms {
		if err := commands.Send(t.Context(), &BookRoom{room}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-book.all:
	case <-time.After(soon):
		t.Error("not everything was handled in time")
	}
	if err := errors.Join(router.Close(), <-ended); err != nil {
		t.Error(err)
	}
	for _, who := range []string{"bill", "clean"} {
		if got := book.rooms(who); len(got) != rooms || got[0] != 0 || got[rooms-1] != rooms-1 {
			t.Errorf("%s: got %v, want each of %d rooms once", who, got, rooms)
		}
	}
}

// prepared is a subscriber whose group has its position in topic already.
func prepared(t *testing.T, b durable.Backend, group, topic string) (message.Subscriber, error) {
	_, sub := facades(t, b, group)
	return sub, sub.(message.SubscribeInitializer).SubscribeInitialize(topic)
}

// ledger notes who handled what.
type ledger struct {
	mu     sync.Mutex
	failed map[int]bool
	noted  map[string]bool
	list   map[string][]int
	want   int
	all    chan struct{} // closed with the last note
}

// fails is true the first time for every third room.
func (l *ledger) fails(room int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room%3 != 0 || l.failed[room] {
		return false
	}
	if l.failed == nil {
		l.failed = map[int]bool{}
	}
	l.failed[room] = true
	return true
}

func (l *ledger) note(who string, room int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list, l.noted = map[string][]int{}, map[string]bool{}
	}
	key := fmt.Sprint(who, room)
	if !l.noted[key] {
		if l.noted[key] = true; len(l.noted) == l.want {
			close(l.all)
		}
	}
	l.list[who] = append(l.list[who], room)
	return nil
}

func (l *ledger) rooms(who string) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.list[who]))
}

// must is v, or the end of the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
