// Package prometheus shows what a program publishes, handles and announces as Prometheus metrics, named dualstream_….
//
//	metrics, err := prometheus.New(prometheus.Options{Registerer: registry})
//	publisher, err := dual.New(b, n, dual.Options{
//		Append: []func(durable.Backend) durable.Backend{metrics.Append},
//		Notify: []func(realtime.Backend) realtime.Backend{metrics.Notify},
//	})
//	metrics.Dispatcher(n.Capabilities().Backend, func() realtime.DispatcherStats { return publisher.Stats().Bus })
//	consumer := metrics.Consumer(b, group, monitor)   // a middleware.Policy, outermost
//
// Labels are topic, backend, group and outcome, and nothing else: never the id of an event or of its source. There are
// at most Options.MaxTopics topics and Options.MaxGroups groups; what comes beyond is summed up as "other".
//
// What is counted already (by durable.Monitor, the publishers, the dispatcher and Dedupe) is read on scrape and costs
// nothing in between. The hot path adds two looks at the clock and one histogram to an attempt, one more histogram and
// three counters to an Append.
//
// For every topic, backend and group, at any time:
//
//	received_events_total == acked_events_total + released_events_total + lost_events_total + in_flight_events
//
// Events that ended in a poison topic are acknowledged at their source: poisoned_events_total tells how many of
// acked_events_total they are.
package prometheus
