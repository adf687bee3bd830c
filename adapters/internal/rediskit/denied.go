package rediskit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Denied tells whether err is the server's refusal of the user or of what the user may not do.
func Denied(err error) bool {
	var refused redis.Error
	var lost *LostError // whose reason may be that a node did not let the user in
	switch {
	case errors.As(err, &refused):
		return denies(refused.Error())
	case errors.As(err, &lost):
		return denies(lost.reason[strings.LastIndex(lost.reason, `": `)+len(`": `):]) // behind the address
	default:
		return false
	}
}

// denies tells whether an error reply is such a refusal.
func denies(reply string) bool {
	for _, begin := range [...]string{"NOPERM", "WRONGPASS", "NOAUTH", "ERR AUTH ", "ERR invalid password"} {
		if strings.HasPrefix(reply, begin) {
			return true
		}
	}
	return strings.Contains(reply, "ACL failure") || strings.Contains(reply, "The user executing the script")
}

// Marked adds denied to err where it is the server's refusal of the user, else unavailable.
func Marked(err, denied, unavailable error) error {
	if Denied(err) {
		return fmt.Errorf("%w: %w", denied, err)
	}
	return fmt.Errorf("%w: %w", unavailable, err)
}
