package adapters

import (
	"context"
	"log/slog"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/middleware"
)

// LoggingSettings are the keys of the section logging; see middleware.Logging. The log is dual.Options.Logger.
type LoggingSettings struct {
	Success string `yaml:"success" oneof:"debug,info,warn,error" doc:"level of attempts that succeeded, were busy or skipped" example:"info"`
	Failure string `yaml:"failure" oneof:"debug,info,warn,error" doc:"level of attempts that failed" example:"error"`
}

func level(text string) (l slog.Level, err error) {
	err = l.UnmarshalText([]byte(text))
	return l, err
}

func openLogging(_ context.Context, s LoggingSettings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	success, err := level(s.Success)
	if err != nil {
		return dual.Middleware{}, &dual.SettingError{Setting: "success", Err: err}
	}
	failure, err := level(s.Failure)
	if err != nil {
		return dual.Middleware{}, &dual.SettingError{Setting: "failure", Err: err}
	}
	return dual.Middleware{Handler: everyGroup(middleware.Logging{Logger: deps.Logger, Success: success, Failure: failure})}, nil
}
