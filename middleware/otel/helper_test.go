package otel_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware/otel"
)

const patience = 60 * time.Second

var (
	errHandler = errors.New("handler failed")
	silent     = slog.New(slog.NewTextHandler(io.Discard, nil))
)

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }

// lab is a Telemetry that records.
type lab struct {
	*otel.Telemetry
	tracer trace.Tracer
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
}

func newLab(t *testing.T, o otel.Options) *lab {
	t.Helper()
	l := &lab{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l.spans))
	l.tracer = provider.Tracer("test")
	o.TracerProvider, o.MeterProvider = provider, sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader))
	var err error
	if l.Telemetry, err = otel.New(o); err != nil {
		t.Fatal(err)
	}
	return l
}

// named are the ended spans with a name.
func (l *lab) named(name string) []sdktrace.ReadOnlySpan {
	var out []sdktrace.ReadOnlySpan
	for _, s := range l.spans.Ended() {
		if s.Name() == name {
			out = append(out, s)
		}
	}
	return out
}

// one is the only ended span with a name.
func (l *lab) one(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := l.named(name)
	if len(spans) != 1 {
		t.Fatalf("spans %q: got %d, want 1", name, len(spans))
	}
	return spans[0]
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]string {
	out := map[attribute.Key]string{}
	for _, a := range s.Attributes() {
		out[a.Key] = a.Value.String()
	}
	return out
}

func newMemory(t *testing.T) *memory.Backend {
	t.Helper()
	b, err := memory.New(memory.Config{Partitions: 1, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func event(t *testing.T, id string) *message.Message {
	t.Helper()
	msg, err := durable.Event{ID: id, Type: "x", SourceType: "order", SourceID: "42", Data: []byte("12345")}.Message("")
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// process handles topic until done says so.
func process(t *testing.T, b durable.Backend, g durable.Group, h message.NoPublishHandlerFunc, done func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- durable.Process(ctx, b, g, h, durable.ProcessOptions{Logger: silent}) }()
	testenv.Await(t, patience, done, "the events are handled")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
}
