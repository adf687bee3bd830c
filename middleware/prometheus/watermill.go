package prometheus

import prom "github.com/prometheus/client_golang/prometheus"

// WatermillNames asks for the metrics of Watermill's components/metrics beside ours: handler_execution_time_seconds,
// publish_time_seconds and subscriber_messages_received_total, with its labels. handler_name is the group,
// publisher_name and subscriber_name are the backend.
type WatermillNames struct {
	Namespace string // as PrometheusMetricsBuilder was given
	Subsystem string
}

type watermill struct {
	handler  *prom.HistogramVec
	publish  *prom.HistogramVec
	received *family
}

func newWatermill(n WatermillNames) *watermill {
	return &watermill{
		handler: prom.NewHistogramVec(prom.HistogramOpts{
			Namespace: n.Namespace, Subsystem: n.Subsystem, Name: "handler_execution_time_seconds",
			Help:    "The total time elapsed while executing the handler function in seconds",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"handler_name", "success"}),
		publish: prom.NewHistogramVec(prom.HistogramOpts{
			Namespace: n.Namespace, Subsystem: n.Subsystem, Name: "publish_time_seconds",
			Help: "The time that a publishing attempt (success or not) took in seconds",
		}, []string{"handler_name", "publisher_name", "success"}),
		received: &family{kind: prom.CounterValue, desc: prom.NewDesc(
			prom.BuildFQName(n.Namespace, n.Subsystem, "subscriber_messages_received_total"),
			"The total number of messages received by the subscriber",
			[]string{"handler_name", "subscriber_name", "acked"}, nil), labels: 3},
	}
}

func (w *watermill) handling(group string) (ok, bad prom.Observer) {
	return w.handler.WithLabelValues(group, "true"), w.handler.WithLabelValues(group, "false")
}

func (w *watermill) publishing(backend string) (ok, bad prom.Observer) {
	const nobody = "<no handler>"
	return w.publish.WithLabelValues(nobody, backend, "true"), w.publish.WithLabelValues(nobody, backend, "false")
}
