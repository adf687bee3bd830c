package realtimetest

import (
	"context"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/realtime"
)

func notifyFaults() []fault {
	return []fault{
		{"reorders a call", "Notify/KeepsTheOrderOnAChannel", notifying(func(ctx context.Context, b realtime.Backend, ns []realtime.Notification) error {
			ns = slices.Clone(ns)
			slices.Reverse(ns)
			return b.Notify(ctx, ns...)
		})},
		{"sends twice", "Notify/ArrivesAtEverySubscriptionOnce", notifying(func(ctx context.Context, b realtime.Backend, ns []realtime.Notification) error {
			return b.Notify(ctx, append(ns, ns...)...)
		})},
		{"ignores the context of Notify", "Notify/ReturnsWhenItsContextIsDone", notifying(func(ctx context.Context, b realtime.Backend, ns []realtime.Notification) error {
			return b.Notify(context.WithoutCancel(ctx), ns...)
		})},
		{"sends the valid part", "Notify/SendsNothingOfACallThatIsInvalid", notifying(func(ctx context.Context, b realtime.Backend, ns []realtime.Notification) error {
			for _, n := range ns {
				if err := b.Notify(ctx, n); err != nil {
					return err
				}
			}
			return nil
		})},
		{"changes its arguments", "Notify/NeitherChangesNorKeepsItsArguments", notifying(func(ctx context.Context, b realtime.Backend, ns []realtime.Notification) error {
			err := b.Notify(ctx, ns...)
			clear(ns)
			return err
		})},
		{"drops the position", "Notify/ArrivesWhole", altering(func(s *realtime.Signal) bool { s.Notification.Position = ""; return true })},
		{"drops the trace", "Notify/ArrivesWhole", altering(func(s *realtime.Signal) bool { s.Notification.TraceParent = ""; return true })},
		{"drops the channel", "Subscribe/YieldsOnlyItsChannels", altering(func(s *realtime.Signal) bool { s.Notification.Channel = ""; return true })},
		{"hides an overflow", "Gap/IsToldToASlowSubscriber", altering(func(s *realtime.Signal) bool { return s.Gap == realtime.GapNone })},
		{"miscounts an overflow", "Gap/IsToldToASlowSubscriber", altering(func(s *realtime.Signal) bool { s.Missed /= 2; return true })},
	}
}

func subscriptionFaults() []fault {
	return []fault{
		{"subscribes late", "Subscribe/MissesNothingThatIsSentAfterIt", func(_ testing.TB, b realtime.Backend) realtime.Backend { return late(b) }},
		{"yields other channels", "Subscribe/YieldsOnlyItsChannels", func(_ testing.TB, b realtime.Backend) realtime.Backend {
			return &backend{Backend: b, subscribe: func(ctx context.Context, _ []string) (realtime.Subscription, error) {
				return b.Subscribe(ctx, realtime.Pattern("*"))
			}}
		}},
		{"reads channels as patterns", "Subscribe/YieldsOnlyItsChannels", func(_ testing.TB, b realtime.Backend) realtime.Backend {
			return &backend{Backend: b, subscribe: func(ctx context.Context, channels []string) (realtime.Subscription, error) {
				return b.Subscribe(ctx, realtime.Pattern(channels[0]))
			}}
		}},
		{"Next ignores its context", "Next/ReturnsWhenItsContextIsDone", subscribing(func(t testing.TB, s realtime.Subscription) realtime.Subscription {
			return &subscription{Subscription: s, next: func(context.Context) (realtime.Signal, error) { return s.Next(t.Context()) }}
		})},
		{"ends with the context of Subscribe", "Subscribe/ItsContextBoundsTheCallAlone", func(_ testing.TB, b realtime.Backend) realtime.Backend {
			return &backend{Backend: b, subscribe: func(ctx context.Context, channels []string) (realtime.Subscription, error) {
				s, err := b.Subscribe(ctx, channels...)
				if err != nil {
					return nil, err
				}
				return &subscription{Subscription: s, next: func(context.Context) (realtime.Signal, error) { return s.Next(ctx) }}, nil
			}}
		}},
	}
}

// late subscribes when the first notification has passed.
func late(b realtime.Backend) realtime.Backend {
	var waiting func()
	return &backend{
		Backend: b,
		subscribe: func(ctx context.Context, channels []string) (realtime.Subscription, error) {
			s, err := b.Subscribe(ctx, channels...)
			if err != nil {
				return nil, err
			}
			if err := s.Remove(ctx, channels...); err != nil {
				return nil, err
			}
			waiting = func() { _ = s.Add(context.Background(), channels...) }
			return s, nil
		},
		notify: func(ctx context.Context, ns []realtime.Notification) error {
			err := b.Notify(ctx, ns...)
			waiting()
			return err
		},
	}
}

func closeFaults() []fault {
	return []fault{
		{"blocks Close", "Close/IsBoundedAndUnblocksNext", func(t testing.TB, b realtime.Backend) realtime.Backend {
			first := true // the suite's own look at the capabilities passes
			return &backend{Backend: b, subscribe: func(ctx context.Context, channels []string) (realtime.Subscription, error) {
				first = false
				return b.Subscribe(ctx, channels...)
			}, close: func(ctx context.Context) error {
				if !first {
					<-t.Context().Done()
				}
				return b.Close(ctx)
			}}
		}},
		{"panics after Close", "Close/EveryMethodThenReturnsErrClosed", func(_ testing.TB, b realtime.Backend) realtime.Backend {
			queue := make(chan int, 1000)
			return &backend{Backend: b, notify: func(ctx context.Context, ns []realtime.Notification) error {
				queue <- len(ns)
				return b.Notify(ctx, ns...)
			}, close: func(ctx context.Context) error {
				select {
				case _, open := <-queue:
					if !open {
						return nil
					}
				default:
				}
				close(queue)
				return b.Close(ctx)
			}}
		}},
		{"forgets that it was closed", "Close/EveryMethodThenReturnsErrClosed", notifying(func(context.Context, realtime.Backend, []realtime.Notification) error { return nil })},
		{"does not end subscriptions", "Close/IsBoundedAndUnblocksNext", func(_ testing.TB, b realtime.Backend) realtime.Backend {
			return &backend{Backend: b, close: func(context.Context) error { return nil }}
		}},
		{"closes other subscriptions", "Close/OfASubscriptionEndsItAlone", func(t testing.TB, b realtime.Backend) realtime.Backend {
			return subscribing(func(_ testing.TB, s realtime.Subscription) realtime.Subscription {
				return &subscription{Subscription: s, close: func() error { return b.Close(context.Background()) }}
			})(t, b)
		}},
		{"leaks a goroutine", "Close/LeavesNoGoroutine", subscribing(func(t testing.TB, s realtime.Subscription) realtime.Subscription {
			end := t.Context().Done()
			go func() { <-end }()
			return s
		})},
	}
}
