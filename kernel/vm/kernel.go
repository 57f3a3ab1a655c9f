// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
)

// Kernel is a kernel image in the cache.
type Kernel struct {
	Release string // as `uname -r` prints it
	Dir     string // has boot/ and lib/modules/, as in the package
}

// Installed gives a kernel that is installed on this machine, as its package has left it below /. What is missing of it
// is an error that wraps fs.ErrNotExist.
func Installed(release string) (*Kernel, error) {
	k := &Kernel{Release: release, Dir: "/"}
	for _, path := range []string{k.Image(), filepath.Join(k.ModulesDir(), "modules.dep")} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("kernel %s cannot be booted: %w", release, err)
		}
	}
	return k, nil
}

// Image is the file to boot.
func (k *Kernel) Image() string { return filepath.Join(k.Dir, "boot", "vmlinuz-"+k.Release) }

// ConfigFile is the configuration it was built with.
func (k *Kernel) ConfigFile() string { return filepath.Join(k.Dir, "boot", "config-"+k.Release) }

// ModulesDir has modules.dep and the modules below kernel/.
func (k *Kernel) ModulesDir() string { return filepath.Join(k.Dir, "lib", "modules", k.Release) }

// CacheDir is where kernels and all else that can be made again is kept: $XDG_CACHE_HOME/iupkg, else ~/.cache/iupkg.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		// No HOME, as in a service: the cache of root.
		base = "/var/cache"
	}
	dir := filepath.Join(base, "iupkg")
	return dir, os.MkdirAll(dir, 0o755)
}

// PackageOf gives the package that a kernel's name stands for. A name is a package ("linux-image-6.12-cloud-amd64"), a
// release ("6.1.0-56-amd64"), or a series with an optional flavour ("6.12", "6.1-cloud", "6.12-rt").
func PackageOf(name string) (string, error) {
	if strings.HasPrefix(name, "linux-image-") && validPackage.MatchString(name) {
		return name, nil
	}
	if m := seriesName.FindStringSubmatch(name); m != nil {
		series, flavour := "-"+m[1], m[2]
		if m[1] == "6.1" {
			series = "" // the series of Debian 12 itself, the others are backports
		}
		return "linux-image" + series + flavour + "-amd64", nil
	}
	if releaseName.MatchString(name) {
		return "linux-image-" + name, nil
	}
	return "", fmt.Errorf("%q names no kernel: want a package, a release or a series like 6.12", name)
}

var (
	validPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]+$`)
	seriesName   = regexp.MustCompile(`^([0-9]+\.[0-9]+)(-cloud|-rt)?$`)
	releaseName  = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.+-]*-amd64$`)
)

// Find gives the kernel of a name (see PackageOf), from the cache if it is there, else from the package mirror.
func Find(ctx context.Context, name string) (*Kernel, error) {
	pkg, err := PackageOf(name)
	if err != nil {
		return nil, err
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(cache, "kernels")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockDir(root)
	if err != nil {
		return nil, err
	}
	defer unlock()
	real, err := resolvePackage(ctx, root, pkg)
	if err != nil {
		return nil, err
	}
	release := strings.TrimPrefix(real, "linux-image-")
	k := &Kernel{Release: release, Dir: filepath.Join(root, release)}
	if _, err := os.Stat(filepath.Join(k.ModulesDir(), "modules.dep")); err == nil {
		return k, nil
	}
	return k, unpack(ctx, root, real, k)
}

// Cached lists the releases in the cache.
func Cached() ([]*Kernel, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	deps, err := filepath.Glob(filepath.Join(cache, "kernels", "*", "lib", "modules", "*", "modules.dep"))
	var ks []*Kernel
	for _, d := range deps {
		release := filepath.Base(filepath.Dir(d))
		ks = append(ks, &Kernel{Release: release, Dir: filepath.Join(cache, "kernels", release)})
	}
	return ks, err
}

// resolvePackage follows a metapackage to the package of one release. What it finds is kept, because asking apt takes a
// second and a machine whose package lists are gone should still boot what it has; new lists are asked again.
func resolvePackage(ctx context.Context, root, pkg string) (string, error) {
	if releaseName.MatchString(strings.TrimPrefix(pkg, "linux-image-")) {
		return pkg, nil
	}
	memo := filepath.Join(root, pkg+".is")
	if m, err := os.Stat(memo); err == nil {
		if lists, err := os.Stat("/var/lib/apt/lists"); err != nil || lists.ModTime().Before(m.ModTime()) {
			b, err := os.ReadFile(memo)
			return strings.TrimSpace(string(b)), err
		}
	}
	out, err := command(ctx, "", "apt-cache", "--no-recommends", "--no-suggests", "depends", pkg)
	if err == nil {
		var found []string
		for _, line := range strings.Split(out, "\n") {
			if dep, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok && releaseName.MatchString(dep) {
				found = append(found, "linux-image-"+dep)
			}
		}
		if len(found) > 0 {
			sort.Strings(found)
			real := found[len(found)-1]
			return real, os.WriteFile(memo, []byte(real+"\n"), 0o644)
		}
		err = errors.New("it depends on no kernel image")
	}
	if b, rerr := os.ReadFile(memo); rerr == nil {
		return strings.TrimSpace(string(b)), nil
	}
	return "", fmt.Errorf("kernel package %s: %w (do the package lists know it? try apt-get update)", pkg, err)
}

// unpack fetches a package and makes it ready in a folder of its own, which is renamed into place when complete.
func unpack(ctx context.Context, root, pkg string, k *Kernel) (err error) {
	tmp, err := os.MkdirTemp(root, ".unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tree, err := download(ctx, tmp, pkg)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(tree, "usr", "share")); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(tree, "boot", "vmlinuz-"+k.Release)); err != nil {
		return fmt.Errorf("package %s has no kernel of its name: %w", pkg, err)
	}
	// Debian makes modules.dep when the package is installed.
	if _, err := command(ctx, tmp, "depmod", "-b", tree, k.Release); err != nil {
		return fmt.Errorf("modules of %s: %w", pkg, err)
	}
	if err := os.RemoveAll(k.Dir); err != nil {
		return err
	}
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	return os.Rename(tree, k.Dir)
}

// download fetches a package into an empty folder and returns the tree in it.
func download(ctx context.Context, tmp, pkg string) (tree string, err error) {
	// apt drops privileges to _apt for downloads, which could not write here.
	if _, err := command(ctx, tmp, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", pkg); err != nil {
		return "", fmt.Errorf("fetch %s: %w", pkg, err)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("fetch %s: got %d files", pkg, len(debs))
	}
	tree = filepath.Join(tmp, "tree")
	if _, err := command(ctx, tmp, "dpkg-deb", "-x", debs[0], tree); err != nil {
		return "", fmt.Errorf("unpack %s: %w", pkg, err)
	}
	return tree, nil
}

// command runs a tool of the host and returns its output; what it said on failure is in the error. The sbin folders are
// searched too: they are not in every user's PATH and depmod is there.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		for _, d := range []string{"/usr/sbin/", "/sbin/"} {
			if _, serr := os.Stat(d + name); serr == nil {
				path, err = d+name, nil
				break
			}
		}
		if err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if msg := strings.TrimSpace(errs.String()); msg != "" {
			return "", fmt.Errorf("%s: %w: %s", name, err, msg)
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return out.String(), nil
}

// lockDir holds a lock on a folder between processes.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
