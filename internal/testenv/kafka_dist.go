package testenv

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// kafkaVersion is part of the cache directory's name; kafka-pom.xml and kafka-jars.txt say the same.
const kafkaVersion = "4.3.1"

// fetchesAtOnce bounds the connections to the repository.
const fetchesAtOnce = 6

//go:embed kafka-jars.txt
var kafkaJarList string

//go:embed kafka-log4j2.properties
var kafkaLog4j []byte

// A jar is a file of a Maven repository.
type jar struct{ sum, path string }

// listJars reads lines of a SHA-256 and a path.
func listJars(list string) []jar {
	var jars []jar
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) == 2 && !strings.HasPrefix(line, "#") {
			jars = append(jars, jar{sum: f[0], path: f[1]})
		}
	}
	return jars
}

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
	lock, err := lockFile(ctx, jars+".lock", syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.unlock()
	if exists(jars) {
		return jars, nil
	}
	repo, err := findMaven()
	if err == nil {
		err = downloadJars(ctx, repo, listJars(kafkaJarList), jars)
	}
	if err != nil {
		return "", fmt.Errorf("download Apache Kafka %s (remedy: check the network, set %s to the URL of a Maven repository, or %s=host:port): %w",
			kafkaVersion, envMaven, envKafka, err)
	}
	return jars, nil
}

// downloadJars puts the jars at dest whole or not at all. What an attempt that was cut short has got is kept for the
// next one. The caller holds the lock.
func downloadJars(ctx context.Context, repo mavenRepo, jars []jar, dest string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	part := dest + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return err
	}
	defer repo.client.CloseIdleConnections()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchesAtOnce)
	for _, j := range jars {
		g.Go(func() error { return repo.fetch(ctx, j.path, j.sum, filepath.Join(part, path.Base(j.path))) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(part, "log4j2.properties"), kafkaLog4j, 0o600); err != nil {
		return err
	}
	return os.Rename(part, dest)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
