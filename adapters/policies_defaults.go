package adapters

import (
	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/middleware"
)

func retryDefaults() RetrySettings {
	return RetrySettings{MaxAttempts: middleware.DefaultMaxAttempts, Initial: middleware.DefaultInitial, Publish: true}
}

func poisonDefaults() PoisonSettings {
	return PoisonSettings{After: "continue", ProbeEvery: middleware.DefaultProbeEvery, WriteTimeout: middleware.DefaultWriteTimeout}
}

func dedupeDefaults() DedupeSettings {
	return DedupeSettings{
		Store: "memory", Redis: redisdedupe.Defaults(), Lease: middleware.DefaultDedupeLease, Keep: middleware.DefaultDedupeKeep,
	}
}

func loggingDefaults() LoggingSettings { return LoggingSettings{Success: "debug", Failure: "warn"} }

func breakerDefaults() BreakerSettings {
	return BreakerSettings{
		Failures: middleware.DefaultBreakerFailures, Open: middleware.DefaultBreakerOpen, Probes: middleware.DefaultBreakerProbes,
	}
}
