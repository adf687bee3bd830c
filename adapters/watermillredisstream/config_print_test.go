package watermillredisstream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters/watermillredisstream"
)

func TestAConfigIsPrintedWithoutItsPassword(t *testing.T) {
	config := watermillredisstream.Config{Password: "hunter2"}
	for _, printed := range []string{
		fmt.Sprintf("%v", config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config), config.LogValue().String(),
	} {
		if strings.Contains(printed, "hunter2") {
			t.Errorf("the password is shown: %s", printed)
		}
	}
}
