package durable

import "testing"

// The vectors are those of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestMurmur2IsThatOfTheJavaClient(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2(key)); got != want {
			t.Errorf("murmur2(%q): got %d, want %d", key, got, want)
		}
	}
}

func TestPartitionIsWithinBounds(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 1000} {
		for _, key := range []string{"", "a", "octocat", "owner/repo", "21", "foobar"} {
			if p := Partition(key, n); p < 0 || p >= n {
				t.Errorf("Partition(%q, %d) = %d", key, n, p)
			}
		}
	}
	if got, want := Partition("21", 8), int(uint32(0xFFFFFFFF-973932308+1)&0x7fffffff)%8; got != want {
		t.Errorf("Partition(21, 8): got %d, want %d", got, want)
	}
}
