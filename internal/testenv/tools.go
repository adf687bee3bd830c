package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// installTimeout bounds a run of the package manager.
const installTimeout = 5 * time.Minute

// A tool is a program that the servers need, with what to do where it is missing.
type tool struct {
	name   string
	apt    string // Debian package that is installed when we may
	remedy string // for people, where we may not
}

var (
	redisServer = tool{"redis-server", "redis-server", "install Redis 7 (apt-get install redis-server; brew install redis) or set " + envRedis + "=host:port"}
	java        = tool{"java", "default-jre-headless", "install a Java runtime 17 or later (apt-get install default-jre-headless) or set " + envKafka + "=host:port"}
	maven       = tool{"mvn", "maven", "install Maven (apt-get install maven; brew install maven), which downloads Apache Kafka, or set " + envKafka + "=host:port"}
)

// path finds the tool, installing it where this is Debian and we are root.
func (x tool) path(ctx context.Context) (string, error) {
	if x.name == "java" {
		if path, err := exec.LookPath(filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(x.name); err == nil {
		return path, nil
	}
	if err := x.install(ctx); err != nil {
		return "", fmt.Errorf("%s is missing: %s (%w)", x.name, x.remedy, err)
	}
	path, err := exec.LookPath(x.name)
	if err != nil {
		return "", fmt.Errorf("%s is missing after its installation: %s", x.name, x.remedy)
	}
	return path, nil
}

// install runs apt-get, one process at a time.
func (x tool) install(ctx context.Context) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("not root, so apt-get install %s was not tried", x.apt)
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	lock, err := lockFile(ctx, filepath.Join(cache, "install.lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.unlock()
	if _, err := exec.LookPath(x.name); err == nil {
		return nil // by the process we waited for
	}
	const script = `"$1" install -y --no-install-recommends "$2" || { "$1" update && "$1" install -y --no-install-recommends "$2"; }`
	cmd := exec.CommandContext(ctx, "sh", "-c", script, "sh", apt, x.apt)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get install %s: %w: %s", x.apt, err, out[max(0, len(out)-2000):])
	}
	return nil
}
