package durabletest

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/durable"
)

func adminChecks() []check {
	health := func(a abilities, _ Harness) bool { return a.health }
	return []check{
		{Name: "Administrator/CreatesATopicOnceInOneShape", Needs: administers, Run: createTopic},
		{Name: "Administrator/DescribesWhatIsStored", Needs: administers, Run: describeTopic},
		{Name: "Administrator/ADeletedTopicIsNotFound", Needs: administers, Run: deleteTopic},
		{Name: "Lag/IsWhatTheGroupHasNotAcknowledged", Needs: groupReports, Run: lagCounts},
		{Name: "Lag/OfWhatIsUnknownIsNotZero", Needs: groupReports, Run: lagUnknown},
		{Name: "Health/OfABackendThatServesIsNil", Needs: health, Run: healthy},
	}
}

func createTopic(e *env) {
	b := e.open()
	admin := b.(durable.Administrator)
	spec := durable.TopicSpec{Name: e.NewTopic(e.TB, 1) + "-made", Partitions: e.Partitions}
	e.Cleanup(func() {
		_ = e.Within("DeleteTopic", func(ctx context.Context) error { return admin.DeleteTopic(ctx, spec.Name) })
	})
	for range 2 {
		e.Do("CreateTopic", func(ctx context.Context) error { return admin.CreateTopic(ctx, spec) })
	}
	info := e.describe(admin, spec.Name)
	if info.Name != spec.Name || len(info.Partitions) != spec.Partitions {
		e.Errorf("DescribeTopic: got %q with %d partitions, want %q with %d", info.Name, len(info.Partitions), spec.Name, spec.Partitions)
	}
	for i, p := range info.Partitions {
		if p.Partition != i || p.Records != 0 || p.Oldest != "" || p.Newest != "" {
			e.Errorf("partition %d of an empty topic: got %+v", i, p)
		}
	}
	if e.Caps.Partitions {
		spec.Partitions++
		err := e.Within("CreateTopic", func(ctx context.Context) error { return admin.CreateTopic(ctx, spec) })
		if !errors.Is(err, durable.ErrTopicExists) {
			e.Errorf("CreateTopic with another number of partitions: got %v, want ErrTopicExists", err)
		}
	}
	err := e.Within("CreateTopic", func(ctx context.Context) error {
		return admin.CreateTopic(ctx, durable.TopicSpec{Name: "a b"})
	})
	if !errors.Is(err, durable.ErrInvalid) {
		e.Errorf("CreateTopic of an invalid name: got %v, want ErrInvalid", err)
	}
}

// describe fails the test unless topic exists.
func (e *env) describe(admin durable.Administrator, topic string) (info durable.TopicInfo) {
	e.Helper()
	e.Do("DescribeTopic", func(ctx context.Context) (err error) {
		info, err = admin.DescribeTopic(ctx, topic)
		return err
	})
	return info
}

func describeTopic(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	ps := e.append(b, topic, messages("m", 7, 2)...)
	info := e.describe(b.(durable.Administrator), topic)
	want := durable.PartitionInfo{Oldest: ps[0], Newest: ps[6], Records: 7}
	if len(info.Partitions) != 1 || info.Partitions[0] != want {
		e.Errorf("got %+v, want %+v", info.Partitions, want)
	}
}

func deleteTopic(e *env) {
	b := e.open()
	admin, topic := b.(durable.Administrator), e.NewTopic(e.TB, e.Partitions)
	e.append(b, topic, messages("m", 5, 2)...)
	e.Do("DeleteTopic", func(ctx context.Context) error { return admin.DeleteTopic(ctx, topic) })
	gone := func(ctx context.Context) error {
		_, err := admin.DescribeTopic(ctx, topic)
		return err
	}
	err := e.Within("DescribeTopic", func(ctx context.Context) error {
		err := gone(ctx)
		for err == nil && ctx.Err() == nil { // brokers may learn of it one after the other
			err = gone(ctx)
		}
		return err
	})
	if !errors.Is(err, durable.ErrTopicNotFound) {
		e.Errorf("DescribeTopic of a deleted topic: got %v, want ErrTopicNotFound", err)
	}
	err = e.Within("DeleteTopic", func(ctx context.Context) error { return admin.DeleteTopic(ctx, topic) })
	if !errors.Is(err, durable.ErrTopicNotFound) {
		e.Errorf("DeleteTopic of a deleted topic: got %v, want ErrTopicNotFound", err)
	}
}

// lag is the sum over the partitions of topic, each of which must be there once and known.
func (e *env) lag(b durable.Backend, group, topic string) (sum int64) {
	e.Helper()
	var lags []durable.PartitionLag
	e.Do("Lag", func(ctx context.Context) (err error) {
		lags, err = b.(durable.LagReporter).Lag(ctx, group, topic)
		return err
	})
	seen := map[int]bool{}
	for _, l := range lags {
		if seen[l.Partition] || l.Lag < 0 || l.Pending < 0 {
			e.Errorf("Lag: got %+v, want each partition once, with a lag that is known", lags)
		}
		seen[l.Partition] = true
		sum += l.Lag
	}
	if len(lags) != e.Partitions {
		e.Errorf("Lag: got %d partitions, want %d", len(lags), e.Partitions)
	}
	return sum
}

func lagCounts(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	g := e.group(topic)
	e.leave(e.join(b, g))
	for round, n := range []int{12, 8} {
		e.append(b, topic, messages(g.Name+string(rune('a'+round)), n, 5)...)
		if got := e.lag(b, g.Name, topic); got != int64(n) {
			e.Errorf("the group has not consumed: got a lag of %d, want %d", got, n)
		}
		c := e.join(b, g)
		e.ack(c, e.collect(c, n))
		e.leave(c)
		if got := e.lag(b, g.Name, topic); got != 0 {
			e.Errorf("the group has acknowledged everything: got a lag of %d, want 0", got)
		}
	}
	c := e.join(b, g)
	e.append(b, topic, messages("left", 4, 1)...)
	e.collect(c, 4)
	e.leave(c)
	if got := e.lag(b, g.Name, topic); got != 4 {
		e.Errorf("a member left without acknowledging: got a lag of %d, want 4", got)
	}
}

func lagUnknown(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	e.append(b, topic, messages("m", 3, 3)...)
	reporter := b.(durable.LagReporter)
	var lags []durable.PartitionLag
	err := e.Within("Lag", func(ctx context.Context) (err error) {
		lags, err = reporter.Lag(ctx, "never-"+topic, topic)
		return err
	})
	if err != nil && !errors.Is(err, durable.ErrInvalid) {
		e.Errorf("Lag of a group that never joined: got %v, want nil or ErrInvalid", err)
	}
	for _, l := range lags {
		if l.Lag >= 0 {
			e.Errorf("Lag of a group that never joined: got %+v, want -1", l)
		}
	}
	err = e.Within("Lag", func(ctx context.Context) error {
		_, err := reporter.Lag(ctx, "never-"+topic, topic+"-none")
		return err
	})
	if !errors.Is(err, durable.ErrTopicNotFound) {
		e.Errorf("Lag in a topic that does not exist: got %v, want ErrTopicNotFound", err)
	}
}

func healthy(e *env) {
	b := e.open()
	checker := b.(durable.HealthChecker)
	e.Do("Health", checker.Health)
	e.Do("Close", b.Close)
	if err := e.Within("Health after Close", checker.Health); !errors.Is(err, durable.ErrClosed) {
		e.Errorf("Health after Close: got %v, want ErrClosed", err)
	}
}
