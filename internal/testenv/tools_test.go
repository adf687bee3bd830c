package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// onlyPrograms makes PATH a directory with those programs of the system and the scripts given.
func onlyPrograms(t *testing.T, system []string, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range system {
		path, err := exec.LookPath(name)
		must(t, "find "+name, err)
		must(t, "link "+name, os.Symlink(path, filepath.Join(dir, name)))
	}
	for name, script := range scripts {
		must(t, "write "+name, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	}
	t.Setenv("PATH", dir)
	t.Setenv("JAVA_HOME", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

var coreutils = []string{"sh", "mkdir", "cat", "chmod", "dirname", "readlink", "touch"}

// fakeApt knows no package until its lists were updated. Each package holds a file of its name; "server" needs "lib".
const fakeApt = `
private=; verb=
for a; do
	case $a in
	Dir::State::lists=*) private=${a#*=} ;;
	update|install|download) verb=$a ;;
	esac
done
echo "$*" >>"$FAKE_LOG"
case $verb in
update) touch "$private/fresh" ;;
install) [ -e "$private/fresh" ] || { echo "E: Unable to locate package server" >&2; exit 100; }
	echo "Inst lib (1.0 Debian:12/stable [amd64])"; echo "Inst server (7.0 Debian:12/stable [amd64])" ;;
download) for name; do case $name in server|lib) touch "$name.deb" ;; esac; done ;;
esac`

// fakeDeb unpacks the packages of fakeApt. The server runs when its library is found.
const fakeDeb = `
mkdir -p "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu"
case $2 in
*/lib.deb) touch "$3/usr/lib/x86_64-linux-gnu/lib.so" ;;
*/server.deb) printf '#!/bin/sh\n[ -e "${LD_LIBRARY_PATH%%:*}/lib.so" ] && echo "server $*"\n' >"$3/usr/bin/server"; chmod +x "$3/usr/bin/server" ;;
esac`

func TestAMissingToolIsUnpackedWithWhatItNeeds(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("FAKE_LOG", log)
	onlyPrograms(t, coreutils, map[string]string{"apt-get": fakeApt, "dpkg-deb": fakeDeb})
	server := tool{"server", []string{"server"}, true, "install it"}
	path, err := server.path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "--port", "1 2").CombinedOutput(); string(out) != "server --port 1 2\n" {
		t.Errorf("got %q, %v", out, err)
	}
	calls, err := os.ReadFile(log)
	must(t, "read the log", err)
	if again, err := server.path(t.Context()); again != path || err != nil {
		t.Errorf("again: got %q, %v, want %q", again, err, path)
	}
	if after, _ := os.ReadFile(log); string(after) != string(calls) {
		t.Errorf("the second call ran apt-get again:\n%s", after)
	}
}

func TestAToolThatCannotBeGotNamesTheRemedy(t *testing.T) {
	onlyPrograms(t, coreutils, map[string]string{"apt-get": `echo "E: no network" >&2; exit 100`})
	for _, unpack := range []bool{false, true} {
		_, err := tool{"server", []string{"server"}, unpack, "install it"}.path(t.Context())
		if err == nil || !strings.Contains(err.Error(), "install it") {
			t.Errorf("got %v, want the remedy", err)
		}
		if unpack && !strings.Contains(err.Error(), "no network") {
			t.Errorf("got %v, want the reason", err)
		}
	}
}

func TestAnUnpackedToolThatDoesNotRunIsNotKept(t *testing.T) {
	t.Setenv("FAKE_LOG", os.DevNull)
	onlyPrograms(t, coreutils, map[string]string{"apt-get": fakeApt, "dpkg-deb": `mkdir -p "$3/usr/bin"`})
	server := tool{"server", []string{"server"}, true, "install it"}
	if err := aptUnpack(t.Context(), t.TempDir(), server); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("got %v, want that it does not run", err)
	}
}

// TestComposeStartsWhatTheTestsWant holds the containers against the servers that testenv starts itself.
func TestComposeStartsWhatTheTestsWant(t *testing.T) {
	text, err := os.ReadFile("compose.yaml")
	must(t, "read compose.yaml", err)
	var file struct {
		Services map[string]struct {
			Image       string
			Ports       []string
			Command     []string
			Environment map[string]string
			Healthcheck struct {
				Test     []string
				Interval time.Duration
			}
		}
	}
	must(t, "parse compose.yaml", yaml.UnmarshalWithOptions(text, &file, yaml.Strict()))
	kafka, redis := file.Services["kafka"], file.Services["redis"]
	if kafka.Image != "apache/kafka:"+kafkaVersion || !strings.HasPrefix(redis.Image, "redis:7") {
		t.Errorf("got the images %q and %q", kafka.Image, redis.Image)
	}
	ours := map[string]string{}
	for line := range strings.Lines(kafkaNode{replicas: 1}.properties("")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		ours["KAFKA_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = value
	}
	for _, key := range []string{
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS",
		"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS",
		"KAFKA_MIN_INSYNC_REPLICAS", "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "KAFKA_PROCESS_ROLES",
	} {
		if got, want := kafka.Environment[key], ours[key]; got != want || want == "" {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if command := strings.Join(redis.Command, " "); !strings.Contains(command, "--appendonly yes --appendfsync everysec") {
		t.Errorf("redis: got the command %q", command)
	}
	for _, name := range []string{envRedis, envKafka} {
		if !strings.Contains(string(text), name+"=127.0.0.1:") {
			t.Errorf("the file does not say how %s is set", name)
		}
	}
}
