// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/iupkg/iupkg/kernel"
)

func (a *app) setupCommand() *cobra.Command {
	var services bool
	cmd := &cobra.Command{
		Use:     "setup",
		Short:   "Make this machine able to run extensions: load iu.ko, fill its keyring, install services",
		GroupID: groupMachine,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.setup(cmd.Context(), services) },
	}
	cmd.Flags().BoolVar(&services, "services-only", false, "only install the service and the hooks, as into an image that another kernel will boot")
	return cmd
}

// setupDone is what setup says with --json.
type setupDone struct {
	Release      string `json:"release"`
	Runtime      string `json:"runtime"` // file
	Built        bool   `json:"built"`
	Loaded       bool   `json:"loaded"` // by this run
	Certificates int    `json:"certificates"`
	Sealed       bool   `json:"sealed"`
	// Services are the files that this run wrote: what loads extensions at boot, and
	// the hooks for new kernels.
	Services []string `json:"services"`
}

func (a *app) setup(ctx context.Context, services bool) error {
	if err := a.needLive(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return withHint(errors.New("setup changes the kernel"), "run it as root")
	}
	if services {
		wrote, err := a.installServices(ctx)
		if err != nil {
			return err
		}
		for _, path := range wrote {
			a.ui.step("wrote %s", path)
		}
		if a.ui.json {
			return a.ui.document(setupDone{Services: wrote})
		}
		return nil
	}
	out, err := a.setUp(ctx)
	if err != nil {
		return err
	}
	if a.ui.json {
		return a.ui.document(out)
	}
	return nil
}

func (a *app) setUp(ctx context.Context) (out setupDone, err error) {
	if out.Release, err = kernelRelease(); err != nil {
		return out, err
	}
	lock, err := a.root().Lock()
	if err != nil {
		return out, err
	}
	defer lock.Unlock()
	out.Runtime, err = a.runtimeFile(out.Release)
	if errors.Is(err, fs.ErrNotExist) {
		out.Runtime, err = a.buildRuntime(ctx, out.Release)
		out.Built = err == nil
	}
	if err != nil {
		return out, err
	}
	out.Loaded = !kernel.RuntimePresent()
	if err := kernel.InstallRuntime(ctx, out.Runtime); err != nil {
		return out, err
	}
	if out.Loaded {
		a.ui.step("loaded %s into Linux %s", out.Runtime, out.Release)
	} else {
		a.ui.step("iu.ko is loaded already")
	}
	if out.Certificates, out.Sealed, err = a.fillKeyring(); err != nil {
		return out, err
	}
	// A system whose /etc cannot be written runs extensions all the same.
	if out.Services, err = a.installServices(ctx); err != nil {
		a.ui.warn("what is installed will not be loaded at the next boot by itself: %v", err)
	}
	for _, path := range out.Services {
		a.ui.step("wrote %s", path)
	}
	return out, nil
}

// fillKeyring gives the kernel every certificate of the policy.
func (a *app) fillKeyring() (added int, sealed bool, err error) {
	dev, err := kernel.OpenDevice()
	if err != nil {
		return 0, false, err
	}
	defer dev.Close()
	v, err := dev.Version()
	if err != nil {
		return 0, false, err
	}
	policy, err := a.policy()
	if err != nil {
		return 0, v.Sealed, err
	}
	certs := policy.Certificates()
	if v.Sealed {
		a.ui.warn("the kernel's keyring is sealed until the next boot: it has %s and takes no more", count(v.Keys, "certificate"))
		return 0, true, nil
	}
	for _, c := range certs {
		if err := dev.AddKey(c.Raw); err != nil {
			return added, false, fmt.Errorf("certificate of %s: %w", c.Subject.CommonName, err)
		}
		added++
	}
	if added > 0 {
		a.ui.step("the kernel trusts %s of this machine's policy", count(added, "certificate"))
	} else {
		a.ui.step("no publisher is trusted yet: iupkg trust add FILE")
	}
	return added, false, nil
}

func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// runtimeFile finds the iu.ko that was built for a kernel: shipped with iupkg,
// or built here by setup.
func (a *app) runtimeFile(release string) (string, error) {
	var tried []string
	if lib, err := libDir(); err == nil {
		tried = append(tried, filepath.Join(lib, "runtime", release, "iu.ko"))
	}
	tried = append(tried, filepath.Join(a.rootDir, "runtime", release, "iu.ko"))
	for _, path := range tried {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", withHint(fmt.Errorf("there is no iu.ko for Linux %s (looked for %s): %w", release, strings.Join(tried, ", "), fs.ErrNotExist), "run iupkg setup")
}

// buildRuntime builds iu.ko from the sources that are shipped, with the headers
// of the kernel.
func (a *app) buildRuntime(ctx context.Context, release string) (string, error) {
	lib, err := libDir()
	if err != nil {
		return "", err
	}
	script := filepath.Join(lib, "module", "build.sh")
	if _, err := os.Stat(script); err != nil {
		return "", noRuntime(fmt.Errorf("there is no iu.ko for Linux %s, and no sources to build it from: %w", release, err),
			"take an iupkg that was built for this kernel, or put the sources of iu.ko into %s", filepath.Dir(script))
	}
	headers, err := filepath.EvalSymlinks(filepath.Join("/lib/modules", release, "build"))
	if err != nil {
		return "", noRuntime(fmt.Errorf("there is no iu.ko for Linux %s, and no headers to build it with: %w", release, err),
			"install the headers (on Debian: apt-get install linux-headers-%s), then run iupkg setup again", release)
	}
	out := filepath.Join(a.rootDir, "runtime", release)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	a.ui.step("building iu.ko for Linux %s with %s", release, headers)
	cmd := exec.CommandContext(ctx, "/bin/sh", script, release, headers, filepath.Join("/boot", "vmlinuz-"+release), out)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	a.ui.working("building: a minute or so")
	if err := cmd.Run(); err != nil {
		a.ui.more("%s", strings.TrimSpace(log.String()))
		return "", fmt.Errorf("build iu.ko for Linux %s: %w: %s", release, err, lastLines(log.String(), 5))
	}
	return filepath.Join(out, "iu.ko"), nil
}

// noRuntimeError is the lack of an iu.ko, which is a refusal by the kernel in
// the sense of the exit codes.
type noRuntimeError struct{ error }

func (e noRuntimeError) Unwrap() error { return e.error }

func noRuntime(err error, hint string, args ...any) error {
	return withHint(noRuntimeError{err}, hint, args...)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
