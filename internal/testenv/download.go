package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// fetchAttempts is how often one file is asked for.
const fetchAttempts = 4

// fetch downloads the file at path of the repository to dest unless it is there already. A file whose SHA-256 is not
// sum is refused. What a server or the network may do better the next time is tried again.
func (m mavenRepo) fetch(ctx context.Context, path, sum, dest string) error {
	if got, err := fileSum(dest); err == nil && got == sum {
		return nil
	}
	var err error
	for attempt := range fetchAttempts {
		if attempt > 0 {
			if err := pause(ctx, m.pause<<(attempt-1)); err != nil {
				return err
			}
		}
		var again bool
		if again, err = m.get(ctx, m.base+"/"+path, sum, dest); err == nil || !again {
			return err
		}
	}
	return err
}

// get is one attempt; again says whether another one makes sense.
func (m mavenRepo) get(ctx context.Context, url, sum, dest string) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	if m.user != "" {
		req.SetBasicAuth(m.user, m.password)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return ctx.Err() == nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		again = resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests
		return again, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	part := dest + ".part"
	got, err := save(resp.Body, part)
	if err != nil {
		return ctx.Err() == nil, fmt.Errorf("get %s: %w", url, err)
	}
	if got != sum {
		return true, errors.Join(fmt.Errorf("get %s: SHA-256 %s, want %s", url, got, sum), os.Remove(part))
	}
	return false, os.Rename(part, dest)
}

// save writes r to a file and returns its SHA-256.
func save(r io.Reader, file string) (string, error) {
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, hash), r)
	return hex.EncodeToString(hash.Sum(nil)), errors.Join(err, f.Close())
}

func fileSum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hex.EncodeToString(hash.Sum(nil)), err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
