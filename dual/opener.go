package dual

import (
	"context"
	"log/slog"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Openers names the backends and policies that a program links. A program adds its own to the maps:
//
//	openers := adapters.All()
//	openers.Durable["mystream"] = dual.DurableOf(mystream.Settings{}, mystream.Open)
type Openers struct {
	Durable  map[string]DurableOpener
	Realtime map[string]RealtimeOpener
	// Middleware are policies, by the section of the file that configures them.
	Middleware map[string]MiddlewareOpener
}

// Deps is what an opener gets beside its settings.
type Deps struct {
	Logger *slog.Logger // never nil
}

// DurableOpener opens one kind of durable backend.
type DurableOpener struct {
	// Settings returns a pointer to a struct that holds the defaults; its fields carry the tag `yaml:"name"`,
	// or `yaml:",inline"` for a struct whose keys stand beside the others.
	// The tag min is the least number or duration, oneof the texts that are taken, with commas between them: others
	// are refused. doc, unit, example, and zero (what no value means) are for Reference and Schema. What is called
	// a password, secret, token or the like is masked wherever it is printed; in Effective also what has a type with
	// the method Reveal() string.
	// The section of the file is stored in it whether the backend is chosen or not. A struct that has the
	// method Check() error is checked too; a *durable.InvalidError names the key in Field.
	Settings func() any
	// Open dials. settings is what Settings returned. The error may be a *SettingError.
	Open func(ctx context.Context, settings any, deps Deps) (durable.Backend, error)
}

// RealtimeOpener opens one kind of real-time backend; see [DurableOpener].
type RealtimeOpener struct {
	Settings func() any
	Open     func(ctx context.Context, settings any, deps Deps) (realtime.Backend, error)
}

// DurableOf is the opener of a backend with settings of type S.
func DurableOf[S any](defaults S, open func(context.Context, S, Deps) (durable.Backend, error)) DurableOpener {
	return DurableOpener{
		Settings: func() any { s := defaults; return &s },
		Open: func(ctx context.Context, settings any, deps Deps) (durable.Backend, error) {
			return open(ctx, *settings.(*S), deps)
		},
	}
}

// RealtimeOf is the opener of a real-time backend with settings of type S.
func RealtimeOf[S any](defaults S, open func(context.Context, S, Deps) (realtime.Backend, error)) RealtimeOpener {
	return RealtimeOpener{
		Settings: func() any { s := defaults; return &s },
		Open: func(ctx context.Context, settings any, deps Deps) (realtime.Backend, error) {
			return open(ctx, *settings.(*S), deps)
		},
	}
}
