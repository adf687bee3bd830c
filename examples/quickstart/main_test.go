package main

import (
	"testing"

	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }
