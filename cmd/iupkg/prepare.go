// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

func (a *app) prepareCommand() *cobra.Command {
	var forget bool
	cmd := &cobra.Command{
		Use:   "prepare RELEASE",
		Short: "Make ready what is installed for another kernel, before it boots",
		Long: "Reads configuration and BTF of a kernel that is installed and does not run, builds its iu.ko,\n" +
			"resolves what is installed against it, fetches what it takes, tries every wrapper, and says\n" +
			"what would not load. Nothing that runs is touched. The hooks that iupkg setup puts into\n" +
			"/etc/kernel run this whenever a kernel or its headers are installed.",
		Example: "  iupkg prepare 6.12.117+deb12-amd64",
		GroupID: groupMachine,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("want the release of one kernel")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if forget {
				return a.forget(args[0])
			}
			return a.prepareFor(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVar(&forget, "forget", false, "drop what is kept for a kernel that was removed")
	return cmd
}

func (a *app) forget(release string) error {
	if _, err := os.Stat(a.rootDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := a.root().Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return lock.Forget(release)
}

// preparation is what prepare says with --json.
type preparation struct {
	Release  string          `json:"release"`
	Runtime  string          `json:"runtime,omitempty"` // file; empty: there is none
	Why      string          `json:"why,omitempty"`     // there is none
	Packages []install.Trial `json:"packages"`
}

// wouldNotLoad means that something installed will not be loaded by a kernel.
type wouldNotLoad struct {
	release string
	facts   []string
}

func (e *wouldNotLoad) Error() string {
	s := "on Linux " + e.release + " not all that is installed would be loaded:"
	for _, f := range e.facts {
		s += "\n" + f
	}
	return s
}

func (a *app) prepareFor(ctx context.Context, release string) error {
	if err := a.needLive(); err != nil {
		return err
	}
	root := a.root()
	cur, err := root.Current()
	if err != nil {
		return err
	}
	if len(cur.Packages) == 0 {
		a.ui.step("nothing is installed")
		if a.ui.json {
			return a.ui.document(preparation{Release: release, Packages: []install.Trial{}})
		}
		return nil
	}
	p, err := kernel.FactsOf(ctx, release, func(s string) { a.ui.warn("%s", s) })
	if err != nil {
		return err
	}
	lock, err := root.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	out := preparation{Release: release}
	bad := &wouldNotLoad{release: release}
	runtime, err := a.runtimeOf(ctx, release, &out)
	if err != nil {
		out.Why = err.Error()
		bad.facts = append(bad.facts, fmt.Sprintf("iu.ko: %v", err))
	} else {
		p.Runtime = &manifest.RuntimeFacts{UAPI: kernel.UAPIVersion, ABI: kernel.ABIVersion}
	}
	k := kernelOf(p)
	plan, err := a.planFresh(ctx, cur, k)
	if err != nil {
		return err
	}
	env, err := a.env(k)
	if err != nil {
		return err
	}
	env.Release = release
	if out.Packages, err = lock.Prepare(ctx, plan, env, runtime); err != nil {
		return err
	}
	for _, t := range out.Packages {
		if t.Err != nil {
			bad.facts = append(bad.facts, fmt.Sprintf("%s %s: %v", t.Package, t.Version, t.Err))
		} else {
			a.ui.step("%s %s is ready for Linux %s", t.Package, t.Version, release)
		}
	}
	if err := a.ui.answer(out, func(io.Writer) {}); err != nil {
		return err
	}
	if len(bad.facts) > 0 {
		return bad
	}
	return nil
}

// planFresh is what is to be installed on another kernel, not what was once
// prepared for it.
func (a *app) planFresh(ctx context.Context, cur *install.Generation, k manifest.Kernel) (*install.Plan, error) {
	fits, err := a.fits(cur, k)
	if err != nil {
		return nil, err
	}
	if fits {
		return install.NewPlan(cur, "", cur.Items()), nil
	}
	return a.resolveFor(ctx, cur, k, "")
}

// runtimeOf finds the iu.ko of a kernel, or builds it.
func (a *app) runtimeOf(ctx context.Context, release string, out *preparation) (ko []byte, err error) {
	out.Runtime, err = a.runtimeFile(release)
	if errors.Is(err, fs.ErrNotExist) {
		out.Runtime, err = a.buildRuntime(ctx, release)
	}
	if err != nil {
		return nil, err
	}
	a.ui.step("iu.ko for Linux %s is %s", release, out.Runtime)
	return os.ReadFile(out.Runtime)
}
