package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// aptOptions make apt-get patient with other processes and with the network.
func aptOptions() []string {
	return []string{"-q", "-y", "-o", "DPkg::Lock::Timeout=240", "-o", "Acquire::Retries=3"}
}

// apt runs apt-get in dir and returns what it prints.
func apt(ctx context.Context, dir string, args ...string) (string, error) {
	binary, err := exec.LookPath("apt-get")
	if err != nil {
		return "", err
	}
	return output(ctx, dir, binary, append(aptOptions(), args...)...)
}

// output runs a program without a terminal and with untranslated messages.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, out[max(0, len(out)-2000):])
	}
	return string(out), err
}

// aptInstall installs the packages of x into the system, for which it must be root.
func aptInstall(ctx context.Context, x tool) error {
	if os.Getuid() != 0 {
		return errors.New("not root, so apt-get install was not tried")
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	install := append([]string{"install", "--no-install-recommends"}, x.apt...)
	if _, err := apt(ctx, "", install...); err == nil {
		return nil
	}
	if _, err := apt(ctx, "", "update"); err != nil { // the lists may be missing or old
		return err
	}
	_, err := apt(ctx, "", install...)
	return err
}

// aptUnpack downloads the packages of x and what they need, and unpacks them in the cache, whole or not at all.
// Neither root nor the system's lock of packages is needed.
func aptUnpack(ctx context.Context, cache string, x tool) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	tmp, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	debs := filepath.Join(tmp, "debs")
	if err := aptDownload(ctx, debs, nil, x.apt); err != nil {
		own, errUpdate := aptUpdate(ctx, filepath.Join(tmp, "apt"))
		if errUpdate != nil {
			return errors.Join(err, errUpdate)
		}
		if err := aptDownload(ctx, debs, own, x.apt); err != nil {
			return err
		}
	}
	root := filepath.Join(tmp, "root")
	if err := unpackAll(ctx, debs, root); err != nil {
		return err
	}
	if err := writeLauncher(root, x.name); err != nil {
		return err
	}
	if _, err := output(ctx, "", filepath.Join(root, "bin", x.name), x.versionFlag()); err != nil {
		return fmt.Errorf("the unpacked program does not run: %w", err)
	}
	dest := filepath.Join(cache, x.name)
	return errors.Join(os.RemoveAll(dest), os.Rename(root, dest))
}

// aptUpdate fetches fresh lists of packages into dir and returns the options that make apt-get use them.
func aptUpdate(ctx context.Context, dir string) ([]string, error) {
	lists, archives := filepath.Join(dir, "lists"), filepath.Join(dir, "cache")
	for _, d := range []string{filepath.Join(lists, "partial"), filepath.Join(archives, "archives", "partial")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	own := []string{"-o", "Dir::State::lists=" + lists, "-o", "Dir::Cache=" + archives, "-o", "Debug::NoLocking=1"}
	if os.Getuid() == 0 {
		own = append(own, "-o", "APT::Sandbox::User=root") // dir may be closed to the user that apt-get changes to
	}
	_, err := apt(ctx, "", append(slices.Clone(own), "update")...)
	return own, err
}

// aptDownload puts the packages, and those that they need and the system lacks, into dir.
func aptDownload(ctx context.Context, dir string, options, packages []string) error {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	plan := slices.Concat(options, []string{"install", "--simulate", "--no-install-recommends"}, packages)
	out, err := apt(ctx, dir, plan...)
	if err != nil {
		return err
	}
	names := slices.Clone(packages)
	for line := range strings.Lines(out) { // such as "Inst liblzf1 (3.6-3 Debian:12/stable [amd64])"
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Inst" && !slices.Contains(names, f[1]) {
			names = append(names, f[1])
		}
	}
	_, err = apt(ctx, dir, slices.Concat(options, []string{"download"}, names)...)
	return err
}

// unpackAll puts the files of the packages in debs under root.
func unpackAll(ctx context.Context, debs, root string) error {
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("apt-get downloaded no package"))
	}
	for _, f := range files {
		if _, err := output(ctx, "", "dpkg-deb", "-x", f, root); err != nil {
			return err
		}
	}
	return nil
}

// launcher runs a program of the directory above its own with the libraries beside it.
const launcher = `#!/bin/sh
root=$(dirname "$(dirname "$(readlink -f "$0")")")
for dir in "$root"/lib/*-linux-* "$root"/usr/lib/*-linux-*; do
	[ -d "$dir" ] && LD_LIBRARY_PATH="$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$root/usr/bin/%s" "$@"
`

func writeLauncher(root, name string) error {
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bin, name), fmt.Appendf(nil, launcher, name), 0o755)
}
