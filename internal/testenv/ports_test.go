package testenv

import (
	"path/filepath"
	"strconv"
	"testing"
)

func TestAReservedPortIsOneTestsUntilItEnds(t *testing.T) {
	t.Setenv(envDir, t.TempDir())
	var path string
	t.Run("holder", func(t *testing.T) {
		path = filepath.Join(stateDir(), "ports", strconv.Itoa(reservePort(t)))
		if _, free, err := reserve(path); free || err != nil {
			t.Errorf("got %v, %v, want it held", free, err)
		}
	})
	lock, free, err := reserve(path)
	if !free || err != nil {
		t.Fatalf("got %v, %v, want it free", free, err)
	}
	lock.unlock()
}
