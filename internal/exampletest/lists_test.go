package exampletest

import "maps"

// excused are the symbols that need no Example, by the reason.
var excused = merged(
	reason("for authors of adapters, whom examples/customadapter shows them at work",
		"durable.AllStructured", "durable.CheckAppend", "durable.CheckGroup", "durable.CheckSize", "durable.FailAll",
		"durable.FailInvalid", "durable.NewClaim", "durable.Claim", "durable.Invalid", "realtime.CheckNotify",
		"realtime.CheckSubscribe", "realtime.NewInbox", "realtime.Inbox", "realtime.NewTable", "realtime.Table"),
	reason("for authors of policies that run under Process and elsewhere", "durable.Scheduled"),
	reason("what another call returns, whose Example shows it",
		"durable.ProcessStats", "durable.Subscription", "realtime.DropStats", "dual.HealthReport"),
	reason("the openers of adapters.All call it", "adapters/watermillkafka.Blame", "adapters/watermillredisstream.Blame"),
	reason("a part of kafka.Config, which is in CONFIGURATION.md", "adapters/kafka.SASL"),
)

func reason(why string, symbols ...string) map[string]string {
	out := map[string]string{}
	for _, s := range symbols {
		out[s] = why
	}
	return out
}

func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}
