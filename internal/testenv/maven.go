package testenv

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	envMaven     = "DUALSTREAM_MAVEN_REPO"
	mavenCentral = "https://repo.maven.apache.org/maven2"
)

// mavenRepo is where jars are downloaded from.
type mavenRepo struct {
	base           string // URL without a slash at its end
	user, password string // of the mirror, "" for none
	client         *http.Client
	pause          time.Duration // before a second attempt; doubles
}

// mavenSettings are the parts of Maven's settings.xml that say how Maven Central is reached.
type mavenSettings struct {
	Mirrors []struct {
		ID       string `xml:"id"`
		MirrorOf string `xml:"mirrorOf"`
		URL      string `xml:"url"`
	} `xml:"mirrors>mirror"`
	Servers []struct {
		ID       string `xml:"id"`
		Username string `xml:"username"`
		Password string `xml:"password"`
	} `xml:"servers>server"`
	Proxies []mavenProxy `xml:"proxies>proxy"`
}

type mavenProxy struct {
	Active        string `xml:"active"` // "" is true
	Protocol      string `xml:"protocol"`
	Host          string `xml:"host"`
	Port          string `xml:"port"`
	Username      string `xml:"username"`
	Password      string `xml:"password"`
	NonProxyHosts string `xml:"nonProxyHosts"` // separated by "|", with "*"
}

// findMaven is the repository that DUALSTREAM_MAVEN_REPO names, the user's mirror of Maven Central, or Maven Central
// itself, reached through the user's proxy: that of settings.xml, else that of HTTPS_PROXY and its like.
func findMaven() (mavenRepo, error) {
	settings, err := readMavenSettings()
	if err != nil {
		return mavenRepo{}, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if i := slices.IndexFunc(settings.Proxies, mavenProxy.active); i >= 0 {
		transport.Proxy = settings.Proxies[i].proxy
	}
	repo := mavenRepo{base: mavenCentral, client: &http.Client{Transport: transport}, pause: time.Second}
	if base := os.Getenv(envMaven); base != "" {
		repo.base = strings.TrimRight(base, "/")
		return repo, nil
	}
	for _, m := range settings.Mirrors {
		if !mirrorsCentral(m.MirrorOf) {
			continue
		}
		repo.base = strings.TrimRight(m.URL, "/")
		for _, s := range settings.Servers {
			if s.ID == m.ID {
				repo.user, repo.password = s.Username, s.Password
			}
		}
		break
	}
	return repo, nil
}

// readMavenSettings reads the user's settings; without a file they are empty.
func readMavenSettings() (mavenSettings, error) {
	var s mavenSettings
	home, err := os.UserHomeDir()
	if err != nil {
		return s, nil //nolint:nilerr // no home, no settings
	}
	file := filepath.Join(home, ".m2", "settings.xml")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	data = regexp.MustCompile(`\$\{env\.[^}]+\}`).ReplaceAllFunc(data, func(name []byte) []byte {
		return []byte(os.Getenv(string(name[len("${env.") : len(name)-1])))
	})
	if err := xml.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s (remedy: set %s to the URL of a Maven repository): %w", file, envMaven, err)
	}
	return s, nil
}

// mirrorsCentral tells whether a list such as "external:*,!internal" names Maven Central.
func mirrorsCentral(list string) bool {
	found := false
	for name := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(name) {
		case "!central":
			return false
		case "central", "*", "external:*":
			found = true
		}
	}
	return found
}

func (p mavenProxy) active() bool { return p.Host != "" && p.Active != "false" }

// proxy is the Proxy function of an http.Transport.
func (p mavenProxy) proxy(r *http.Request) (*url.URL, error) {
	for pattern := range strings.SplitSeq(p.NonProxyHosts, "|") {
		if ok, _ := path.Match(strings.TrimSpace(pattern), r.URL.Hostname()); ok {
			return nil, nil
		}
	}
	u := &url.URL{Scheme: "http", Host: p.Host}
	if p.Protocol != "" {
		u.Scheme = p.Protocol
	}
	if p.Port != "" {
		u.Host += ":" + p.Port
	}
	if p.Username != "" {
		u.User = url.UserPassword(p.Username, p.Password)
	}
	return u, nil
}
