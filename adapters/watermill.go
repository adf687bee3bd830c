package adapters

import (
	"context"

	"github.com/dualstream/dualstream/adapters/watermillkafka"
	"github.com/dualstream/dualstream/adapters/watermillredisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

func openWatermillKafka(ctx context.Context, s watermillkafka.Settings, deps dual.Deps) (durable.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := watermillkafka.Open(ctx, cfg)
	if err != nil {
		return nil, blamed(watermillkafka.Blame(err))
	}
	return b, nil
}

func openWatermillKafkaRealtime(ctx context.Context, s watermillkafka.RealtimeSettings, deps dual.Deps) (realtime.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := watermillkafka.OpenRealtime(ctx, cfg, s.Topic)
	if err != nil {
		return nil, blamed(watermillkafka.Blame(err))
	}
	return b, nil
}

func openWatermillRedis(ctx context.Context, s watermillredisstream.Settings, deps dual.Deps) (durable.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := watermillredisstream.Open(ctx, cfg)
	if err != nil {
		return nil, blamed(watermillredisstream.Blame(err))
	}
	return b, nil
}

func openWatermillRedisRealtime(ctx context.Context, s watermillredisstream.RealtimeSettings, deps dual.Deps) (realtime.Backend, error) {
	cfg, err := s.Config(deps.Logger)
	if err != nil {
		return nil, blamed(err)
	}
	b, err := watermillredisstream.OpenRealtime(ctx, cfg, s.Topic)
	if err != nil {
		return nil, blamed(watermillredisstream.Blame(err))
	}
	return b, nil
}
