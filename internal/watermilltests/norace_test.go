//go:build !race

package watermilltests

const raceDetector = false
