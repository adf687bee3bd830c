package main

import (
	"context"
	"errors"
	"time"
)

// paced sends perSecond notifications a second for dur and measures from each send to its receipt. They arrive in
// the order in which they were sent.
func paced(ctx context.Context, dur time.Duration, perSecond int, send func(context.Context) error, receive func(context.Context) error) (sample, error) {
	n := max(1, int(dur.Seconds()*float64(perSecond)))
	sent := make(chan time.Time, n) // every send before its receipt
	lat := make(latencies, 0, n)
	s, err := timed(func() (int64, error) {
		ctx, cancel := context.WithTimeout(ctx, dur+10*time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			var err error
			for len(lat) < n && err == nil {
				if err = receive(ctx); err == nil {
					lat = append(lat, time.Since(<-sent))
				}
			}
			done <- err
		}()
		err := sendPaced(ctx, n, time.Second/time.Duration(perSecond), func() error {
			sent <- time.Now()
			return send(ctx)
		})
		if err != nil {
			cancel()
		}
		return int64(n), errors.Join(err, <-done)
	})
	s.latencies = lat
	return s, err
}

// sendPaced calls send n times, one interval apart, and catches up when it is late.
func sendPaced(ctx context.Context, n int, interval time.Duration, send func() error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for i := range n {
		timer.Reset(time.Until(start.Add(time.Duration(i) * interval)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := send(); err != nil {
			return err
		}
	}
	return nil
}
