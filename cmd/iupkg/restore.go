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
	"github.com/iupkg/iupkg/resolve"
)

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore",
		Short: "Load what is installed, as after a reboot; mend what is not as it was loaded",
		Long: "Makes the kernel have what the generation in force says: loads iu.ko, then every package that\n" +
			"is not there or not whole. What runs stays untouched. If the kernel is another one than\n" +
			"before, and something installed does not fit it, what fits is resolved anew and becomes the\n" +
			"next generation. A package that cannot be loaded keeps no other from it. The service that\n" +
			"iupkg setup installs runs this at boot.",
		GroupID: groupMachine,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.restore(cmd.Context()) },
	}
}

// notRestored means that something installed is not loaded.
type notRestored struct{ failed []install.Restored }

func (e *notRestored) Error() string {
	s := count(len(e.failed), "package") + " could not be loaded:"
	for _, f := range e.failed {
		s += fmt.Sprintf("\n%s %s: %v", f.Package, f.Version, f.Err)
	}
	return s
}

// Unwrap gives the first reason, which decides the exit code.
func (e *notRestored) Unwrap() error { return e.failed[0].Err }

func (a *app) restore(ctx context.Context) error {
	if err := a.needLive(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return withHint(errors.New("restore changes the kernel"), "run it as root")
	}
	root := a.root()
	cur, err := root.Current()
	if err != nil {
		return err
	}
	if pending, err := root.Pending(); err != nil {
		return err
	} else if len(cur.Packages) == 0 && !pending {
		a.ui.step("nothing is installed")
		return a.sayRestored([]install.Restored{})
	}
	lock, err := root.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	if !kernel.RuntimePresent() {
		file, err := a.runtimeFile(release)
		if errors.Is(err, fs.ErrNotExist) {
			return noRuntime(err, "run iupkg setup; until then this kernel runs without what is installed")
		}
		if err != nil {
			return err
		}
		if err := kernel.InstallRuntime(ctx, file); err != nil {
			return err
		}
		a.ui.step("loaded %s into Linux %s", file, release)
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
	if err := lock.Recover(ctx, env); err != nil {
		return err
	}
	unsolved := a.refit(ctx, lock, env, k)
	done, err := lock.Restore(ctx, env)
	if err != nil {
		return err
	}
	if err := a.sayRestored(done); err != nil {
		return err
	}
	var failed []install.Restored
	for _, r := range done {
		if r.Err != nil {
			failed = append(failed, r)
		}
	}
	switch {
	case unsolved != nil:
		return unsolved
	case len(failed) > 0:
		return &notRestored{failed}
	}
	return nil
}

// refit makes a generation that fits this kernel if the one in force does not.
func (a *app) refit(ctx context.Context, lock *install.Lock, env *install.Env, k manifest.Kernel) error {
	cur, err := a.root().Current()
	if err != nil {
		return err
	}
	fits, err := a.fits(cur, k)
	if err != nil || fits {
		return err
	}
	did := "restore on Linux " + k.Uname().Release
	plan, err := a.planFor(ctx, cur, k, did)
	if err != nil {
		return err
	}
	a.ui.step("Linux %s is another kernel than before, for which other versions are installed", k.Uname().Release)
	g, err := lock.Apply(ctx, plan, env)
	if err != nil {
		return err
	}
	a.ui.step("done: generation %d", g.Number)
	return nil
}

// fits says whether all of a generation goes with a kernel.
func (a *app) fits(g *install.Generation, k manifest.Kernel) (bool, error) {
	h := resolve.On(k)
	for i := range g.Packages {
		req, err := a.root().Requires(&g.Packages[i])
		if err != nil {
			return false, withHint(err, "iupkg verify %s fetches it again", g.Packages[i].Name)
		}
		if !manifest.Fits(h.Check(req)) {
			return false, nil
		}
	}
	return true, nil
}

// planFor resolves what is installed for another kernel than it was installed for:
// what was prepared for it, else what the index has, as of now if it can be asked.
// A version that fits stays.
func (a *app) planFor(ctx context.Context, cur *install.Generation, k manifest.Kernel, did string) (*install.Plan, error) {
	prepared, err := a.root().Prepared(k.Uname().Release)
	if err != nil {
		return nil, err
	}
	if prepared != nil {
		return install.NewPlan(cur, did, prepared.Target), nil
	}
	return a.resolveFor(ctx, cur, k, did)
}

func (a *app) resolveFor(ctx context.Context, cur *install.Generation, k manifest.Kernel, did string) (*install.Plan, error) {
	src, err := a.syncedIndex(ctx)
	if err != nil {
		a.ui.warn("the index is as of the last synchronisation: %v", err)
		if src, err = a.openIndex(); err != nil {
			return nil, err
		}
	}
	pinned, err := a.pinned(cur)
	if err != nil {
		return nil, err
	}
	var want []manifest.Spec
	for _, q := range cur.Packages {
		if q.Auto {
			continue
		}
		s, err := manifest.ParseSpec(q.Name)
		if err != nil {
			return nil, err
		}
		if s.Constraint, err = manifest.ParseConstraint(q.Constraint); err != nil {
			return nil, err
		}
		s.Features = q.Features
		want = append(want, s)
	}
	plan, err := solve(ctx, src, resolve.On(k), want, pinned)
	if err != nil {
		return nil, err
	}
	a.sayUpgraded(plan, want)
	target := targetOf(plan, cur, nil, nil)
	for i := range target {
		if old := cur.Find(target[i].Name); old != nil {
			target[i].Auto = old.Auto
		}
	}
	return install.NewPlan(cur, did, target), nil
}

func (a *app) sayRestored(done []install.Restored) error {
	for _, r := range done {
		switch r.Did {
		case install.DidNothing:
			a.ui.step("%s %s is loaded", r.Package, r.Version)
		case install.DidRemove:
			a.ui.step("unloaded %s %s, which is not installed", r.Package, r.Version)
		}
	}
	if !a.ui.json {
		return nil
	}
	return a.ui.answer(done, func(io.Writer) {})
}
