// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netlink"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/kernel/vm"
)

// canaryOptions are the flags of a trial in a virtual machine.
type canaryOptions struct {
	on     bool
	kernel string
}

func (o *canaryOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.on, "canary", false, "first do all of it in a virtual machine that runs this machine's own kernel, and run the packages' self-tests there; with --dry-run only that")
	cmd.Flags().StringVar(&o.kernel, "canary-kernel", "", "a Debian `package`, release or series for --canary, in the place of this machine's own kernel")
}

func (o *canaryOptions) wanted() bool { return o.on || o.kernel != "" }

func (o *canaryOptions) check(i installOptions) error {
	if o.wanted() && i.download {
		return usagef("--canary and --download-only exclude each other")
	}
	return nil
}

// trial is what the machine is told, as JSON on its standard input.
type trial struct {
	Plan *install.Plan `json:"plan"`
	// Interfaces are this machine's; the other makes what it lacks of them.
	Interfaces []string `json:"interfaces"`
}

// tried is its answer.
type tried struct {
	Packages []triedPackage `json:"packages"`
}

type triedPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Tests   int    `json:"tests"` // self-tests that were run
}

// canaryFailed means that the trial failed, with the exit code that the command
// would have had.
type canaryFailed struct {
	code int
	what string
}

func (e *canaryFailed) Error() string { return "the canary failed: " + e.what }

// tryInMachine carries a plan out in a virtual machine over this machine's files,
// whose changes are gone afterwards. All that it takes is fetched and verified here
// first: the machine has no network but its own.
func (a *app) tryInMachine(ctx context.Context, lock *install.Lock, plan *install.Plan, env *install.Env, o *canaryOptions) error {
	k, err := o.image(ctx)
	if err != nil {
		return err
	}
	stage := *env
	stage.StageOnly = true
	if _, err := lock.Apply(ctx, plan, &stage); err != nil {
		return err
	}
	doc := trial{Plan: plan}
	devs, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, d := range devs {
		doc.Interfaces = append(doc.Interfaces, d.Name)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	root, err := filepath.Abs(a.rootDir)
	if err != nil {
		return err
	}
	a.ui.working("booting Linux %s for the canary", k.Release)
	m, err := vm.Start(ctx, vm.Config{Image: k, CPUs: 2})
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	defer m.Stop()
	a.ui.step("canary: booted Linux %s in a virtual machine (%s, %.1f s)", k.Release, m.Accel, m.BootTime.Seconds())
	argv := []string{exe, "--root", root, "--offline", "--no-progress", "--json", canaryVerb}
	var out, said bytes.Buffer
	var libDirs []string
	if dir := os.Getenv("IUPKG_LIBDIR"); dir != "" {
		libDirs = []string{"IUPKG_LIBDIR=" + dir}
	}
	code, err := m.Exec(ctx, vm.Cmd{Argv: argv, Env: libDirs, Stdin: bytes.NewReader(text), Stdout: &out, Stderr: &said})
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	for line := range strings.Lines(said.String()) {
		a.ui.more("  canary: %s", strings.TrimRight(line, "\n"))
	}
	if code != 0 {
		var answer struct {
			Error struct{ Message, Detail string }
		}
		if json.Unmarshal(out.Bytes(), &answer) != nil || answer.Error.Message == "" {
			answer.Error.Message = lastLines(said.String(), 5)
		}
		return &canaryFailed{code, answer.Error.Message}
	}
	log, err := m.Dmesg(ctx)
	if err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	if p := log.Problems(); len(p) > 0 {
		return &canaryFailed{exitKernel, fmt.Sprintf("the kernel complained: %s", p[0])}
	}
	var answer tried
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return fmt.Errorf("canary: its answer: %w", err)
	}
	for _, p := range answer.Packages {
		a.ui.step("canary: %s %s loaded there, %s passed", p.Name, p.Version, count(p.Tests, "self-test"))
	}
	return nil
}

// image is the kernel to boot: this machine's own, unless another is named.
func (o *canaryOptions) image(ctx context.Context) (*vm.Kernel, error) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return nil, withHint(fmt.Errorf("the canary needs QEMU: %w", err), "on Debian: apt-get install qemu-system-x86; or leave out --canary")
	}
	if o.kernel != "" {
		return vm.Find(ctx, o.kernel)
	}
	release, err := kernelRelease()
	if err != nil {
		return nil, err
	}
	k, err := vm.Installed(release)
	if err != nil {
		return nil, withHint(fmt.Errorf("the canary needs the image of the running kernel: %w", err),
			"install its package, name a kernel that can be fetched with --canary-kernel, or leave out --canary")
	}
	return k, nil
}

const canaryVerb = "canary-trial"

// canaryCommand is what runs in the machine. It is for tryInMachine alone.
func (a *app) canaryCommand() *cobra.Command {
	return &cobra.Command{
		Use:    canaryVerb,
		Short:  "Carry out a plan from standard input, and run self-tests",
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var doc trial
			if err := json.NewDecoder(io.LimitReader(a.ui.in, 64<<20)).Decode(&doc); err != nil || doc.Plan == nil {
				return usagef("this runs in the machine of --canary: no plan on standard input (%v)", err)
			}
			return a.carryOut(cmd.Context(), &doc)
		},
	}
}

func (a *app) carryOut(ctx context.Context, doc *trial) error {
	if err := lendInterfaces(doc.Interfaces); err != nil {
		return err
	}
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	file, err := a.runtimeFile(release)
	if err != nil {
		return noRuntime(err, "iupkg setup builds it")
	}
	if err := kernel.InstallRuntime(ctx, file); err != nil {
		return err
	}
	if _, _, err := a.fillKeyring(); err != nil {
		return err
	}
	k, err := a.target(ctx)
	if err != nil {
		return err
	}
	env, err := a.env(k)
	if err != nil {
		return err
	}
	root := a.root()
	lock, err := root.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	// What runs on the machine that asks runs here too, so that an upgrade is one.
	before, err := lock.Restore(ctx, env)
	if err != nil {
		return err
	}
	for _, r := range before {
		if r.Err != nil {
			a.ui.warn("%s %s, which is installed, cannot be loaded here: %v", r.Package, r.Version, r.Err)
		}
	}
	g, err := lock.Apply(ctx, doc.Plan, env)
	if err != nil {
		return err
	}
	answer := tried{Packages: []triedPackage{}}
	for _, c := range doc.Plan.Changes {
		if c.New == nil || c.Op == install.OpKeep {
			continue
		}
		pkg := g.Find(c.New.Name)
		m, err := root.Manifest(pkg)
		if err != nil {
			return err
		}
		loaded := root.Record(pkg.Name)
		if loaded == nil {
			return fmt.Errorf("%s %s left no record", pkg.Name, pkg.Version)
		}
		if err := loaded.Intact(); err != nil {
			return fmt.Errorf("%s %s: %w", pkg.Name, pkg.Version, err)
		}
		n, err := kernel.SelfTest(loaded, m)
		if err != nil {
			return fmt.Errorf("%s %s: %w", pkg.Name, pkg.Version, err)
		}
		answer.Packages = append(answer.Packages, triedPackage{pkg.Name, pkg.Version, n})
	}
	return a.ui.document(answer)
}

// lendInterfaces makes an interface for each of the names that there is none of:
// one end of a pair, as drivers of those take XDP.
func lendInterfaces(names []string) error {
	have, err := net.Interfaces()
	if err != nil {
		return err
	}
	for i, name := range names {
		if slices.ContainsFunc(have, func(d net.Interface) bool { return d.Name == name }) {
			continue
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		link := &netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprint("canary", i)}
		if err := netlink.LinkAdd(link); err != nil {
			return fmt.Errorf("make interface %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	return nil
}
