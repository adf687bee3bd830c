package redisstream

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestAGroupIsResetAndDeletedWhenNobodyConsumes(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Connection: Connection{Addr: testenv.Redis(t)}}
			b, patient, topic := open(t, cfg), open(t, cfg), testenv.Name(t, "t")
			b.shows = 40 * time.Millisecond // one that has left with entries counts as a member until seenLately
			patient.shows = time.Minute     // one that runs is seen lately, also where the machine stands still
			ps, err := b.Append(t.Context(), topic, events(5)...)
			must(t, err)
			g := competing(topic, "m")
			g.Ordering = ordering
			first := func() string {
				c := join(t, b, g)
				d := fetch(t, c, 1)[0]
				if err := patient.ResetGroup(t.Context(), "g", topic, durable.Oldest()); !errors.Is(err, durable.ErrGroupActive) {
					t.Errorf("got %v, want ErrGroupActive", err)
				}
				must(t, c.Close(t.Context()))
				return d.Message.UUID
			}
			if got := first(); got != events(5)[0].UUID {
				t.Errorf("got %s, want the first", got)
			}
			for want, start := range map[int]durable.Start{3: durable.After(durable.Cursor{0: ps[2]}), 0: durable.Oldest()} {
				awaitIdle(t, func() error { return b.ResetGroup(t.Context(), "g", topic, start) })
				if lag, err := b.Lag(t.Context(), "g", topic); err != nil || lag[0].Pending != 0 {
					t.Errorf("got %+v, %v, want nothing pending", lag, err)
				}
				if got := first(); got != events(5)[want].UUID {
					t.Errorf("got %s, want number %d", got, want)
				}
			}
			if err := b.ResetGroup(t.Context(), "other", topic, durable.Oldest()); !errors.Is(err, durable.ErrInvalid) {
				t.Errorf("unknown group: got %v, want ErrInvalid", err)
			}
			if names, err := b.Groups(t.Context(), topic); err != nil || !slices.Equal(names, []string{"g"}) {
				t.Errorf("got groups %q, %v, want g", names, err)
			}
			awaitIdle(t, func() error { return b.ResetGroup(t.Context(), "g", topic, durable.Newest()) })
			if err := b.ResetGroup(t.Context(), "g", topic, durable.After(durable.Cursor{0: "9999999999999-0"})); !errors.Is(err, durable.ErrPositionExpired) {
				t.Errorf("got %v, want ErrPositionExpired", err)
			}
			must(t, b.DeleteGroup(t.Context(), "g", topic))
			if names, err := b.Groups(t.Context(), topic); err != nil || len(names) != 0 {
				t.Errorf("got groups %q, %v, want none", names, err)
			}
		})
	}
}

// TestAGroupIsNotResetInTheDark has a user that may not see whose lease it is.
func TestAGroupIsNotResetInTheDark(t *testing.T) {
	addr, topic, user := testenv.Redis(t), testenv.Name(t, "t"), testenv.Name(t, "u")
	must(t, client(t, addr).Do(t.Context(), "acl", "setuser", user, "on", ">secret", "~*", "+@all", "-get", "-hget").Err())
	b := open(t, Config{Connection: Connection{Addr: addr}})
	blind := open(t, Config{Connection: Connection{Addr: addr, Username: user, Password: "secret"}})
	store(t, b, topic, 0, 3)
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)})
	ds := fetch(t, c, 3)
	for what, do := range map[string]func() error{
		"reset":  func() error { return blind.ResetGroup(t.Context(), "g", topic, durable.Oldest()) },
		"delete": func() error { return blind.DeleteGroup(t.Context(), "g", topic) },
	} {
		if err := do(); !errors.Is(err, durable.ErrDenied) {
			t.Errorf("%s: got %v, want ErrDenied", what, err)
		}
	}
	must(t, c.Ack(t.Context(), ds...))
	must(t, c.Close(t.Context()))
	if err := blind.ResetGroup(t.Context(), "g", topic, durable.Oldest()); !errors.Is(err, durable.ErrDenied) {
		t.Errorf("unknown ordering: got %v, want ErrDenied", err)
	}
}

// awaitIdle calls do until it does not find members any more.
func awaitIdle(t *testing.T, do func() error) {
	t.Helper()
	var err error
	testenv.Await(t, time.Minute, func() bool { err = do(); return !errors.Is(err, durable.ErrGroupActive) }, "the members are gone")
	must(t, err)
}

// TestAMemberThatJoinsMeanwhileKeepsItsGroup has members join after the look that comes before.
func TestAMemberThatJoinsMeanwhileKeepsItsGroup(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
			store(t, b, topic, 0, 3)
			g := competing(topic, "m")
			g.Ordering = ordering
			fetch(t, join(t, b, g), 3)
			for _, start := range []string{"", beginning} {
				if err := b.removeGroup(t.Context(), "g", newPlace(topic, 0, 1), start); !errors.Is(err, durable.ErrGroupActive) {
					t.Errorf("start %q: got %v, want ErrGroupActive", start, err)
				}
			}
			if lag, err := b.Lag(t.Context(), "g", topic); err != nil || lag[0].Lag+lag[0].Pending != 3 {
				t.Errorf("got %+v, %v, want the group as it was", lag, err)
			}
		})
	}
}

// TestACompetitorThatHasNothingToDoKeepsItsGroup has another backend ask, to which a member that stands still for a while
// is not gone.
func TestACompetitorThatHasNothingToDoKeepsItsGroup(t *testing.T) {
	t.Parallel()
	cfg := Config{Connection: Connection{Addr: testenv.Redis(t)}}
	b, patient, topic := open(t, cfg), open(t, cfg), testenv.Name(t, "t")
	b.shows, patient.shows = 400*time.Millisecond, time.Minute
	c := join(t, b, competing(topic, "m"))
	var silent time.Duration
	heard := 0
	testenv.Await(t, time.Minute, func() bool {
		members, err := b.control.XInfoConsumers(t.Context(), topic, "g").Result()
		if err != nil || len(members) != 1 {
			return false
		}
		if members[0].Idle < silent {
			heard++
		}
		silent = members[0].Idle
		return heard >= 5
	}, "the server hears of the member again and again")
	if err := patient.ResetGroup(t.Context(), "g", topic, durable.Newest()); !errors.Is(err, durable.ErrGroupActive) {
		t.Errorf("got %v, want ErrGroupActive", err)
	}
	must(t, c.Close(t.Context()))
	must(t, b.ResetGroup(t.Context(), "g", topic, durable.Newest())) // it is known to be gone
}
