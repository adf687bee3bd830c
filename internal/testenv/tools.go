package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// installTimeout bounds one way to get a program or its files.
const installTimeout = 5 * time.Minute

// A tool is a program that the servers need, with what to do where it is missing.
type tool struct {
	name   string
	apt    []string // Debian packages that hold it
	unpack bool     // it runs from a directory of its own: nothing of the system is changed, and nobody need be root
	remedy string   // for people, where we may not
}

func redisServer() tool {
	return tool{
		"redis-server",
		[]string{"redis-server", "redis-tools"},
		true,
		"install Redis 7 (apt-get install redis-server; brew install redis) or set " + envRedis + "=host:port",
	}
}

func redisCLI() tool {
	return tool{"redis-cli", []string{"redis-tools"}, true, "install it (apt-get install redis-tools; brew install redis)"}
}

func java() tool {
	return tool{
		"java",
		[]string{"default-jre-headless"},
		false,
		"install a Java runtime 17 or later (apt-get install default-jre-headless) or set " + envKafka + "=host:port",
	}
}

// path finds the tool: in JAVA_HOME and PATH, then what an earlier run has got, then it gets it from Debian.
func (x tool) path(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if path, ok := x.find(cache); ok {
		return path, nil
	}
	lock, err := lockFile(ctx, filepath.Join(cache, "install.lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.unlock()
	if path, ok := x.find(cache); ok {
		return path, nil // by the process we waited for
	}
	if err := x.get(ctx, cache); err != nil {
		return "", fmt.Errorf("%s is missing: %s: %w", x.name, x.remedy, err)
	}
	path, ok := x.find(cache)
	if !ok {
		return "", fmt.Errorf("%s is missing after its installation: %s", x.name, x.remedy)
	}
	return path, nil
}

func (x tool) find(cache string) (string, bool) {
	if home := os.Getenv("JAVA_HOME"); x.name == "java" && home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", "java")); err == nil {
			return path, true
		}
	}
	if path, err := exec.LookPath(x.name); err == nil {
		return path, true
	}
	path := x.unpacked(cache)
	return path, exists(path)
}

// unpacked is the program that aptUnpack leaves.
func (x tool) unpacked(cache string) string { return filepath.Join(cache, x.name, "bin", x.name) }

// get unpacks the tool's packages beside the system, or installs them.
func (x tool) get(ctx context.Context, cache string) error {
	var unpacking error
	if x.unpack {
		if unpacking = aptUnpack(ctx, cache, x); unpacking == nil {
			return nil
		}
	}
	return errors.Join(unpacking, aptInstall(ctx, x))
}
