//go:build race

package watermilltests

// The suite's TestReconnect reads a slice while another goroutine of its own appends to it, whatever it tests: the
// restart is left to the run without the race detector.
const raceDetector = true
