package main

import (
	"context"
	"errors"
	"os"
	"runtime/pprof"
)

// profiled runs work with a processor profile into file, or without one where file is "". Its samples are labelled
// with path and subject: go tool pprof -tagfocus=subject=dualstream FILE.
func profiled(file string, work func() error) (err error) {
	if file == "" {
		return work()
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return work()
}

// labelled runs work, and the goroutines that it starts, with the labels of subject i of p.
func (p path) labelled(ctx context.Context, i int, work func(context.Context)) {
	pprof.Do(ctx, pprof.Labels("path", p.name, "subject", p.subjects[i].name), work)
}
