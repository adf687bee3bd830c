package middleware

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Filter hands a group the events that it is interested in. The others are acknowledged without the handler and
// counted: they are neither pending nor delivered again.
//
// An event passes where any of the three fields says so. One that could not be decoded passes too, whatever they say,
// because nobody knows what it is: put Filter where a Poison is outside or inside of it, as you like. A Filter must not
// be copied after its first use, and serves any number of handlers.
type Filter struct {
	// Types pass exactly (durable.MetaType).
	Types []string
	// Patterns are globs as realtime.Match knows them, such as "order.*". A type that matches one of them passes.
	Patterns []string
	// Match passes what it is true for. It must be safe for concurrent use and must not change the message.
	Match func(*message.Message) bool

	filtered atomic.Int64
}

// Validate returns an *durable.InvalidError for a Filter that nothing passes.
func (f *Filter) Validate() error {
	if len(f.Types) == 0 && len(f.Patterns) == 0 && f.Match == nil {
		return durable.Invalid("Filter", "none of its fields is set", "set Types, Patterns or Match")
	}
	for field, list := range map[string][]string{"Filter.Types": f.Types, "Filter.Patterns": f.Patterns} {
		if i := slices.Index(list, ""); i >= 0 {
			return durable.Invalid(field+"["+strconv.Itoa(i)+"]", "", "name a type of event")
		}
	}
	return nil
}

// Filtered is how many events were acknowledged without the handler.
func (f *Filter) Filtered() int64 { return f.filtered.Load() }

// Middleware wraps h.
func (f *Filter) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := f.Validate(); err != nil {
		return refuse(err)
	}
	return func(msg *message.Message) ([]*message.Message, error) {
		d, _ := durable.DeliveryOf(msg.Context())
		if d.DecodeErr != nil || f.Passes(msg) {
			return h(msg)
		}
		f.filtered.Add(1)
		return nil, nil
	}
}

// Batch is Middleware for durable.ProcessBatch: h is called with what passes, and not at all where nothing does.
func (f *Filter) Batch(h durable.BatchHandler) durable.BatchHandler {
	if err := f.Validate(); err != nil {
		return refuseBatch(err)
	}
	return func(ctx context.Context, ds []durable.Delivery) []error {
		pass := make([]durable.Delivery, 0, len(ds))
		at := make([]int, 0, len(ds)) // where in ds each of pass is
		for i, d := range ds {
			if d.DecodeErr != nil || f.Passes(d.Message) {
				pass, at = append(pass, d), append(at, i)
			}
		}
		if len(pass) == len(ds) {
			return h(ctx, ds)
		}
		results := make([]error, len(ds))
		if len(pass) > 0 {
			got := h(ctx, pass)
			if got != nil && len(got) != len(pass) {
				return repeated(fmt.Errorf("filter: the handler returned %d errors for %d deliveries", len(got), len(pass)), len(ds))
			}
			for i, err := range got {
				results[at[i]] = err
			}
		}
		f.filtered.Add(int64(len(ds) - len(pass)))
		return results
	}
}

// Passes tells whether the filter is interested in msg: what durable.SubscribeOptions.Select of an independent reader
// takes. It counts nothing.
func (f *Filter) Passes(msg *message.Message) bool {
	kind := durable.Attributes(msg)[durable.MetaType]
	if slices.Contains(f.Types, kind) {
		return true
	}
	for _, p := range f.Patterns {
		if realtime.Match(p, kind) {
			return true
		}
	}
	return f.Match != nil && f.Match(msg)
}
