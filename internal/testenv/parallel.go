package testenv

import (
	"flag"
	"strconv"
)

// SideBySide has n of the tests that call t.Parallel run at once, unless the flag -parallel says otherwise. It is for the
// TestMain of a package whose tests wait for servers more than they compute, for which the number of processors, the
// default, is no measure.
func SideBySide(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil { // the arguments are parsed later
		panic(err)
	}
}
