package watermillkafka_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/adapters/watermillkafka"
)

func TestAConfigIsPrintedWithoutItsPassword(t *testing.T) {
	config := watermillkafka.Config{Password: "hunter2"}
	for _, printed := range []string{
		fmt.Sprintf("%v", config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config), config.LogValue().String(),
	} {
		if strings.Contains(printed, "hunter2") {
			t.Errorf("the password is shown: %s", printed)
		}
	}
}
