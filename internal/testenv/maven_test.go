package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// userSettings makes a home whose Maven settings are text, and clears what else says where jars come from.
func userSettings(t *testing.T, text string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv(envMaven, "")
	if text == "" {
		return
	}
	must(t, "make settings", os.MkdirAll(filepath.Join(home, ".m2"), 0o700))
	must(t, "write settings", os.WriteFile(filepath.Join(home, ".m2", "settings.xml"), []byte(text), 0o600))
}

func TestJarsComeFromWhereMavenWouldGetThem(t *testing.T) {
	const mirrors = `<settings><mirrors>
		<mirror><id>other</id><mirrorOf>internal</mirrorOf><url>http://other/</url></mirror>
		<mirror><id>not</id><mirrorOf>*,!central</mirrorOf><url>http://not</url></mirror>
		<mirror><id>ours</id><mirrorOf>external:*</mirrorOf><url>http://ours/maven2/</url></mirror></mirrors>
		<servers><server><id>ours</id><username>user</username><password>${env.TEST_SECRET}</password></server></servers>
		</settings>`
	t.Setenv("TEST_SECRET", "secret")
	for name, c := range map[string]struct{ settings, variable, base, password string }{
		"no settings":     {"", "", mavenCentral, ""},
		"empty settings":  {"<settings/>", "", mavenCentral, ""},
		"a mirror":        {mirrors, "", "http://ours/maven2", "secret"},
		"a variable wins": {mirrors, "http://variable/repo/", "http://variable/repo", ""},
	} {
		t.Run(name, func(t *testing.T) {
			userSettings(t, c.settings)
			t.Setenv(envMaven, c.variable)
			got, err := findMaven()
			if err != nil || got.base != c.base || got.password != c.password {
				t.Errorf("got %q, password %q, %v; want %q, %q", got.base, got.password, err, c.base, c.password)
			}
		})
	}
}

func TestBrokenMavenSettingsAreNamed(t *testing.T) {
	userSettings(t, "<settings><mirrors>")
	if _, err := findMaven(); err == nil || !strings.Contains(err.Error(), "settings.xml") || !strings.Contains(err.Error(), envMaven) {
		t.Errorf("got %v, want the file and the remedy", err)
	}
}

func TestTheProxyOfMavenSettingsIsUsed(t *testing.T) {
	userSettings(t, `<settings><proxies>
		<proxy><active>false</active><host>off</host></proxy>
		<proxy><protocol>http</protocol><host>proxy</host><port>3128</port><username>u</username><password>p</password>
			<nonProxyHosts>localhost|*.local</nonProxyHosts></proxy></proxies></settings>`)
	repo, err := findMaven()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"repo.example": "http://u:p@proxy:3128", "nexus.local": "<nil>"} {
		got, err := repo.client.Transport.(*http.Transport).Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: host}})
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%s: got %v, %v, want %s", host, got, err, want)
		}
	}
}

// repository serves files of a Maven repository and counts what it was asked for.
type repository struct {
	mu     sync.Mutex
	files  map[string]string
	errors map[string]int // answers 503 so often before it serves the file
	asked  map[string]int
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := strings.TrimPrefix(req.URL.Path, "/maven2/")
	r.asked[name]++
	if r.asked[name] <= r.errors[name] {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	text, ok := r.files[name]
	if !ok {
		http.NotFound(w, req)
		return
	}
	_, _ = w.Write([]byte(text))
}

// serveJars serves two jars; list is what is wanted of them.
func serveJars(t *testing.T) (r *repository, repo mavenRepo, list []jar) {
	t.Helper()
	r = &repository{
		files:  map[string]string{"a/1/a-1.jar": "content of a", "b/2/b-2.jar": "content of b"},
		errors: map[string]int{}, asked: map[string]int{},
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	var lines strings.Builder
	lines.WriteString("# a comment\n")
	for name, text := range r.files {
		sum := sha256.Sum256([]byte(text))
		fmt.Fprintf(&lines, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	userSettings(t, "")
	t.Setenv(envMaven, server.URL+"/maven2")
	repo, err := findMaven()
	must(t, "find the repository", err)
	repo.pause = time.Millisecond
	return r, repo, listJars(lines.String())
}

func TestJarsAreDownloadedWholeAndTriedAgain(t *testing.T) {
	r, repo, list := serveJars(t)
	r.errors["b/2/b-2.jar"] = 2
	dest := filepath.Join(t.TempDir(), "jars")
	if err := downloadJars(t.Context(), repo, list, dest); err != nil {
		t.Fatal(err)
	}
	for name, want := range r.files {
		if got, err := os.ReadFile(filepath.Join(dest, path.Base(name))); string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if !exists(filepath.Join(dest, "log4j2.properties")) || exists(dest+".part") {
		t.Error("the directory is not as Kafka needs it")
	}
}

func TestAJarOfAnotherContentIsRefused(t *testing.T) {
	r, repo, list := serveJars(t)
	r.files["a/1/a-1.jar"] = "something else"
	dest := filepath.Join(t.TempDir(), "jars")
	if err := downloadJars(t.Context(), repo, list, dest); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v, want a refusal", err)
	}
	if exists(dest) || exists(filepath.Join(dest+".part", "a-1.jar")) {
		t.Error("what was refused is there")
	}
}

func TestADownloadGoesOnWhereItWasCutShort(t *testing.T) {
	r, repo, list := serveJars(t)
	lost := r.files["b/2/b-2.jar"]
	delete(r.files, "b/2/b-2.jar")
	dest := filepath.Join(t.TempDir(), "jars")
	must(t, "get what there is", repo.fetch(t.Context(), pathOf(list, "a-1.jar"), sumOf(list, "a-1.jar"), filepath.Join(partOf(t, dest), "a-1.jar")))
	if err := downloadJars(t.Context(), repo, list, dest); err == nil || !strings.Contains(err.Error(), "404") {
		t.Fatalf("got %v, want 404", err)
	}
	r.files["b/2/b-2.jar"] = lost
	if err := downloadJars(t.Context(), repo, list, dest); err != nil {
		t.Fatal(err)
	}
	if n := r.asked["a/1/a-1.jar"]; n != 1 {
		t.Errorf("the first jar was downloaded %d times, want once", n)
	}
}

func partOf(t *testing.T, dest string) string {
	t.Helper()
	must(t, "make a directory", os.MkdirAll(dest+".part", 0o755))
	return dest + ".part"
}

func find(list []jar, name string) jar {
	for _, j := range list {
		if path.Base(j.path) == name {
			return j
		}
	}
	return jar{}
}

func pathOf(list []jar, name string) string { return find(list, name).path }
func sumOf(list []jar, name string) string  { return find(list, name).sum }

func TestTheListOfJarsIsThatOfTheVersion(t *testing.T) {
	list := listJars(kafkaJarList)
	if len(list) < 50 {
		t.Errorf("got %d jars", len(list))
	}
	for _, name := range []string{"kafka_2.13-", "kafka-tools-", "kafka-clients-"} {
		if find(list, name+kafkaVersion+".jar").path == "" {
			t.Errorf("no jar %s%s", name, kafkaVersion)
		}
	}
	seen := map[string]bool{}
	for _, j := range list {
		if len(j.sum) != 2*sha256.Size || seen[path.Base(j.path)] {
			t.Errorf("bad or repeated entry %+v", j)
		}
		seen[path.Base(j.path)] = true
	}
	pom, err := os.ReadFile("kafka-pom.xml")
	if err != nil || strings.Count(string(pom), "<version>"+kafkaVersion+"</version>") != 2 {
		t.Errorf("kafka-pom.xml names another version (%v)", err)
	}
}
