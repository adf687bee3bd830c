package testenv

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// kafkaVersion is part of the cache directory's name; kafka-pom.xml says the same.
const kafkaVersion = "4.3.1"

//go:embed kafka-pom.xml
var kafkaPom []byte

//go:embed kafka-log4j2.properties
var kafkaLog4j []byte

// kafkaJars returns the directory that holds the jars of Apache Kafka. The first call of a user downloads them from
// Maven Central (54 MB); calls in other processes wait for it.
func kafkaJars(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	jars := filepath.Join(cache, "kafka-"+kafkaVersion)
	if exists(jars) {
		return jars, nil
	}
	mvn, err := maven.path(ctx)
	if err != nil {
		return "", err
	}
	lock, err := lockFile(ctx, jars+".lock", syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.unlock()
	if exists(jars) {
		return jars, nil
	}
	return jars, downloadKafka(ctx, mvn, cache, jars)
}

// downloadKafka puts the jars at dest whole or not at all.
func downloadKafka(ctx context.Context, mvn, cache, dest string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	tmp, err := os.MkdirTemp(cache, "kafka-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), kafkaPom, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-ntp", "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory=libs")
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("download Apache Kafka %s from Maven Central: %w (remedy: check the network, or set %s=host:port): %s",
			kafkaVersion, err, envKafka, out[max(0, len(out)-2000):])
	}
	libs := filepath.Join(tmp, "libs")
	if err := os.WriteFile(filepath.Join(libs, "log4j2.properties"), kafkaLog4j, 0o600); err != nil {
		return err
	}
	return os.Rename(libs, dest)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
