// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/resolve"
)

func (a *app) installCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "install NAME[@CONSTRAINT]…",
		Short: "Resolve, fetch, verify, load and attach: all of it or nothing",
		Long: "Resolve, fetch, verify, load and attach: all of it or nothing.\n\n" +
			"Beside its parameters, --set takes for all programs, or as PROGRAM/KEY for one:\n" +
			"  budget=5ms      the longest that a run may take, 1us to 1s; 10ms unless set\n" +
			"  faults=keep     keep running whatever happens; faults=3 disables after 3 faults,\n" +
			"                  faults=100/1s pauses for the rest of a second that had 100",
		Example: "  iupkg install bmc@1.2 --set iface=eth0 --set budget=2ms",
		GroupID: groupPackages,
		Args: func(cmd *cobra.Command, args []string) error {
			if !o.frozen {
				return someArgs("NAME")(cmd, args)
			}
			if len(args) > 0 {
				return errors.New("--frozen installs what the lock file has: name no packages")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.frozen:
				return a.installFrozen(cmd.Context(), o)
			case cmd.Flags().Changed("lock"):
				return usagef("--lock goes with --frozen")
			}
			if o.bundle != "" {
				a.registry, a.offline = registry.LayoutScheme+o.bundle, false
			}
			return a.install(cmd.Context(), args, o)
		},
	}
	cmd.Flags().StringArrayVar(&o.set, "set", nil, "`KEY=VALUE` of a parameter; NAME.KEY=VALUE if several packages are named")
	cmd.Flags().StringArrayVar(&o.unset, "unset", nil, "`KEY` of a parameter that was set and takes its default again")
	cmd.Flags().BoolVarP(&o.dry, "dry-run", "n", false, "show the plan and stop")
	o.canary.flags(cmd)
	cmd.Flags().BoolVar(&o.download, "download-only", false, "fetch into the store and verify, load nothing")
	cmd.Flags().BoolVar(&o.frozen, "frozen", false, "install exactly what the lock file has; refuse if anything is not as it was locked")
	cmd.Flags().StringVar(&o.bundle, "bundle", "", "install from a `file` made by iupkg bundle; the network is not used")
	cmd.Flags().StringVar(&o.lock, "lock", defaultLock, "lock `file` for --frozen")
	return cmd
}

type installOptions struct {
	bundle        string
	set, unset    []string
	dry, download bool
	frozen        bool
	lock          string
	canary        canaryOptions
}

func (a *app) install(ctx context.Context, args []string, o installOptions) error {
	want, err := parseSpecs(args)
	if err != nil {
		return err
	}
	set, err := parseSets(o.set, o.unset, want)
	if err != nil {
		return err
	}
	k, env, err := a.prepare(ctx, o)
	if err != nil {
		return err
	}
	return a.transactTried(ctx, env, o, func(cur *install.Generation) (*install.Plan, error) {
		return a.planInstall(ctx, cur, k, want, set, strings.Join(slices.Concat([]string{"install"}, args, o.set), " "))
	})
}

// planInstall resolves what is wanted beside what is installed.
func (a *app) planInstall(ctx context.Context, cur *install.Generation, k manifest.Kernel, want []manifest.Spec, set paramChanges, did string) (*install.Plan, error) {
	src, err := a.syncedIndex(ctx)
	if err != nil {
		return nil, err
	}
	pinned, err := a.pinned(cur)
	if err != nil {
		return nil, err
	}
	plan, err := solve(ctx, src, resolve.On(k), want, pinned)
	if err != nil {
		return nil, err
	}
	a.sayResolved(plan)
	a.warnOf(src, plan)
	if err := set.check(plan, cur, "is not to be installed"); err != nil {
		return nil, err
	}
	return install.NewPlan(cur, did, targetOf(plan, cur, want, set)), nil
}

// prepare gets together what install and upgrade work with: the kernel that is
// resolved against, and the transaction's surroundings.
func (a *app) prepare(ctx context.Context, o installOptions) (manifest.Kernel, *install.Env, error) {
	if o.dry && o.download {
		return nil, nil, usagef("--dry-run and --download-only exclude each other")
	}
	if err := o.canary.check(o); err != nil {
		return nil, nil, err
	}
	if !o.dry && !o.download {
		if err := a.needLive(); err != nil {
			return nil, nil, err
		}
		// The resolver has to know the runtime's ABI, and there is no use in fetching
		// what cannot be loaded.
		if err := needRuntime(); err != nil {
			return nil, nil, err
		}
	}
	k, err := a.target(ctx)
	if err != nil {
		return nil, nil, err
	}
	env, err := a.env(k)
	if err != nil {
		return nil, nil, err
	}
	env.StageOnly = o.download
	return k, env, nil
}

// sayResolved names what was chosen, and that newer ones were not.
func (a *app) sayResolved(plan *resolve.Plan) {
	for _, c := range plan.Packages {
		if !c.Wanted {
			a.ui.more("resolved %s %s", c.Name, c.Version)
			continue
		}
		text := fmt.Sprintf("resolved %s %s", c.Name, c.Version)
		if n := newerForKernel(&c); n > 0 {
			text += fmt.Sprintf(" (%s not fit this kernel; iupkg resolve %s --verbose says why)", does(n), c.Name)
		}
		a.ui.step("%s", text)
		for _, f := range c.Unproven {
			a.ui.warn("%s %s may not fit: %s", c.Name, c.Version, f)
		}
	}
}

// warnOf tells what the index has to say against what was chosen.
func (a *app) warnOf(x indexCopy, plan *resolve.Plan) {
	for _, c := range plan.Packages {
		p, err := x.Info(c.Name)
		if err != nil {
			continue // whoever chose it has said so
		}
		if p.Deprecated != "" {
			a.ui.warn("%s is deprecated: %s", c.Name, p.Deprecated)
		}
		for _, adv := range p.AdvisoriesOf(c.Version) {
			a.ui.warn("%s %s is affected by %s (%s): %s", c.Name, c.Version, adv.ID, adv.Severity, adv.Summary)
		}
	}
}

func newerForKernel(c *resolve.Choice) int {
	n := 0
	for _, r := range c.Rejected {
		if r.Kind == resolve.KindKernel {
			n++
		}
	}
	return n
}

func does(n int) string {
	if n == 1 {
		return "1 newer version does"
	}
	return fmt.Sprintf("%d newer versions do", n)
}
