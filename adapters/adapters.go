// Package adapters names the built-in backends for configuration files. A program that links only some of them
// makes its own dual.Openers.
package adapters

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redispubsub"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/adapters/watermillkafka"
	"github.com/dualstream/dualstream/adapters/watermillredisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// All returns the openers of all built-in backends and policies, in new maps to which a program may add its own.
func All() dual.Openers {
	return dual.Openers{
		Durable: map[string]dual.DurableOpener{
			"memory":      dual.DurableOf(memory.Defaults(), openMemory),
			"redisstream": dual.DurableOf(redisstream.Defaults(), openRedisStream),
			"kafka":       dual.DurableOf(kafka.Defaults(), openKafka),

			"watermill-kafka":       dual.DurableOf(watermillkafka.Defaults(), openWatermillKafka),
			"watermill-redisstream": dual.DurableOf(watermillredisstream.Defaults(), openWatermillRedis),
		},
		Realtime: map[string]dual.RealtimeOpener{
			"memory":      dual.RealtimeOf(memory.RealtimeDefaults(), openMemoryRealtime),
			"redispubsub": dual.RealtimeOf(redispubsub.Defaults(), openRedisPubSub),

			"watermill-kafka":       dual.RealtimeOf(watermillkafka.RealtimeDefaults(), openWatermillKafkaRealtime),
			"watermill-redisstream": dual.RealtimeOf(watermillredisstream.RealtimeDefaults(), openWatermillRedisRealtime),
		},
		Middleware: policies(),
	}
}

func openMemory(_ context.Context, s memory.Settings, deps dual.Deps) (durable.Backend, error) {
	cfg := s.Config()
	cfg.Logger = deps.Logger
	b, err := memory.New(cfg)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func openMemoryRealtime(_ context.Context, s memory.RealtimeSettings, _ dual.Deps) (realtime.Backend, error) {
	b, err := memory.NewRealtime(s.Config())
	if err != nil {
		return nil, err
	}
	return b, nil
}

func openRedisStream(ctx context.Context, s redisstream.Settings, deps dual.Deps) (durable.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := redisstream.Open(ctx, cfg)
	if err != nil {
		return nil, blamed(err)
	}
	return b, nil
}

func openRedisPubSub(ctx context.Context, s redispubsub.Settings, deps dual.Deps) (realtime.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := redispubsub.Open(ctx, cfg)
	if err != nil {
		return nil, blamed(err)
	}
	return b, nil
}

func openKafka(ctx context.Context, s kafka.Settings, deps dual.Deps) (durable.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := kafka.Open(ctx, cfg)
	if err == nil {
		return b, nil
	}
	if key := s.Blame(err); key != "" {
		return nil, &dual.SettingError{Setting: key, Err: err}
	}
	return nil, err
}

// blamed carries the setting that err names over to dual.
func blamed(err error) error {
	var b *settings.Blamed
	if !errors.As(err, &b) {
		return err
	}
	return &dual.SettingError{Setting: b.Setting, Err: err}
}
