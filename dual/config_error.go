package dual

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrConfig matches every error that a configuration file causes.
var ErrConfig = errors.New("bad configuration")

// ConfigError says what is wrong in a configuration file, where, and what would be accepted.
// It matches [ErrConfig].
type ConfigError struct {
	File    string // as it was given to Load or Parse
	Line    int    // from 1; 0 where the whole file is meant
	Path    string // such as durable.kafka.brokers; "" for the whole file
	Problem string
	Remedy  string // what to write instead; "" where the problem says it
	Err     error  // the cause, nil where there is none
}

// Error is "file:line: path: problem; remedy".
func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Problem)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrConfig) true.
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// Unwrap is the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// SettingError says which setting of a section an opener blames. Open adds file, line and path to it.
type SettingError struct {
	Setting string // key within the section of the backend, such as "addr"
	Err     error
}

// Error implements error.
func (e *SettingError) Error() string { return e.Setting + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *SettingError) Unwrap() error { return e.Err }

// Problems are the parts of an error of Load, Check or Open that a configuration file causes, in the order of the
// file; none for another error.
func Problems(err error) []*ConfigError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*ConfigError
		for _, e := range joined.Unwrap() {
			all = append(all, Problems(e)...)
		}
		return all
	}
	var one *ConfigError
	if errors.As(err, &one) {
		return []*ConfigError{one}
	}
	return nil
}

// problems collects what is wrong in a file.
type problems []*ConfigError

// err joins p in the order of the file, each of them once; nil for none.
func (p problems) err() error {
	sorted := slices.Clone(p)
	slices.SortStableFunc(sorted, func(a, b *ConfigError) int { return cmp.Compare(a.Line, b.Line) })
	var errs []error
	told := map[string]bool{}
	for _, e := range sorted {
		if text := e.Error(); !told[text] {
			told[text] = true
			errs = append(errs, e)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
