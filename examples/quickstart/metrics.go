package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/prometheus"
	"github.com/dualstream/dualstream/realtime"
)

// mostLag is how many events the group may be behind in a partition before the process is not ready.
const mostLag = 100_000

// observed is what -metrics adds: /metrics, /live and /ready. A nil one adds nothing.
type observed struct {
	registry *prom.Registry
	metrics  *prometheus.Metrics
	monitor  *durable.Monitor
	health   *dual.Health
	server   *http.Server
	listener net.Listener
	ended    chan struct{} // closed when the server has
}

// observe listens on addr, where there is one.
func observe(addr string) (*observed, error) {
	if addr == "" {
		return nil, nil
	}
	o := &observed{registry: prom.NewRegistry(), monitor: new(durable.Monitor), ended: make(chan struct{})}
	var err error
	if o.metrics, err = prometheus.New(prometheus.Options{Registerer: o.registry}); err != nil {
		return nil, err
	}
	if o.listener, err = net.Listen("tcp", addr); err != nil {
		return nil, fmt.Errorf("-metrics: %w", err)
	}
	return o, nil
}

// wrap has the publisher counted.
func (o *observed) wrap(opts *dual.Options) {
	if o == nil {
		return
	}
	opts.Append = append(opts.Append, o.metrics.Append)
	opts.Notify = append(opts.Notify, o.metrics.Notify)
}

// serve shows what stack and the group do, from now on, and says so.
func (o *observed) serve(stack *dual.Stack, g durable.Group, out io.Writer) (err error) {
	if o == nil {
		return nil
	}
	name := stack.Durable.Capabilities().Backend
	o.metrics.Publisher(name, func() durable.PublisherStats { return stack.Publisher.Stats().Store })
	if stack.Realtime != nil {
		o.metrics.Dispatcher(stack.Realtime.Capabilities().Backend, func() realtime.DispatcherStats { return stack.Publisher.Stats().Bus })
	}
	var topics []string
	for _, t := range g.Topics {
		topics = append(topics, t.Topic)
	}
	checks := append(stack.HealthChecks(), dual.CheckStalls("stalls", o.monitor, 10*time.Second),
		dual.CheckLag(stack.Durable, g.Name, mostLag, topics...))
	if o.health, err = dual.NewHealth(dual.HealthOptions{Logger: stack.Process.Logger}, checks...); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	mux.Handle("/live", o.health.LiveHandler())
	mux.Handle("/ready", o.health.ReadyHandler())
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	_, _ = fmt.Fprintf(out, "metrics from now on: http://%s/metrics, /live and /ready\n", o.listener.Addr())
	go func() {
		defer close(o.ended)
		if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
			stack.Process.Logger.Warn("quickstart: serving metrics", "err", err)
		}
	}()
	return nil
}

// policy measures what the group handles.
func (o *observed) policy(stack *dual.Stack, g durable.Group, h message.NoPublishHandlerFunc) (message.NoPublishHandlerFunc, durable.ProcessOptions) {
	if o == nil {
		return h, stack.Process
	}
	options := stack.Process
	options.Monitor = o.monitor
	measured := o.metrics.Consumer(stack.Durable, g, o.monitor).Middleware(func(msg *message.Message) ([]*message.Message, error) {
		return nil, h(msg)
	})
	return func(msg *message.Message) error {
		_, err := measured(msg)
		return err
	}, options
}

// linger goes on serving after the run, until ctx ends.
func (o *observed) linger(ctx context.Context, out io.Writer) {
	if o == nil || o.server == nil {
		return
	}
	_, _ = fmt.Fprintf(out, "the run is over, still serving http://%s/metrics, /live and /ready: Ctrl-C ends it\n", o.listener.Addr())
	<-ctx.Done()
}

// close ends the server.
func (o *observed) close(ctx context.Context) error {
	if o == nil {
		return nil
	}
	if o.server == nil {
		return o.listener.Close()
	}
	err := errors.Join(o.server.Shutdown(ctx), o.health.Close(ctx))
	<-o.ended
	return err
}
