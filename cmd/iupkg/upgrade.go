// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/resolve"
)

func (a *app) upgradeCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "upgrade [NAME[@CONSTRAINT]…]",
		Short: "Replace what is installed by the newest that fits, under traffic: all of it or nothing",
		Long: "Replace what is installed, or the named packages and what they need, by the newest versions\n" +
			"that fit this kernel and are in the constraint that the package was installed by, or is named\n" +
			"with now. A program that runs is replaced in place: every packet is seen by the\n" +
			"old version or by the new one, and maps that both declare alike keep what is in them.",
		Example: "  iupkg upgrade\n  iupkg upgrade bmc@1 --dry-run",
		GroupID: groupPackages,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.upgrade(cmd.Context(), args, o)
		},
	}
	cmd.Flags().StringArrayVar(&o.set, "set", nil, "`KEY=VALUE` of a parameter; NAME.KEY=VALUE unless one package is named")
	cmd.Flags().StringArrayVar(&o.unset, "unset", nil, "`KEY` of a parameter that was set and takes its default again")
	cmd.Flags().BoolVarP(&o.dry, "dry-run", "n", false, "show the plan and stop")
	o.canary.flags(cmd)
	cmd.Flags().BoolVar(&o.download, "download-only", false, "fetch into the store and verify, change nothing else")
	return cmd
}

func (a *app) upgrade(ctx context.Context, args []string, o installOptions) error {
	named, err := parseSpecs(args)
	if err != nil {
		return err
	}
	set, err := parseSets(o.set, o.unset, named)
	if err != nil {
		return err
	}
	k, env, err := a.prepare(ctx, o)
	if err != nil {
		return err
	}
	return a.transactTried(ctx, env, o, func(cur *install.Generation) (*install.Plan, error) {
		for _, s := range named {
			if cur.Find(s.Name) == nil {
				return nil, withHint(fmt.Errorf("%s: %w", s.Name, errNotInstalled), "iupkg install %s", s)
			}
		}
		src, err := a.syncedIndex(ctx)
		if err != nil {
			return nil, err
		}
		pinned, err := a.pinned(cur)
		if err != nil {
			return nil, err
		}
		want := forUpgrade(pinned, named)
		plan, err := solve(ctx, src, resolve.On(k), want, pinned)
		if err != nil {
			return nil, err
		}
		a.sayUpgraded(plan, named)
		a.warnOf(src, plan)
		target := targetOf(plan, cur, want, set)
		for i := range target { // to upgrade a package is not to ask for it
			if old := cur.Find(target[i].Name); old != nil {
				target[i].Auto = old.Auto
			}
		}
		if err := set.check(plan, cur, "is not installed"); err != nil {
			return nil, err
		}
		return install.NewPlan(cur, strings.Join(slices.Concat([]string{"upgrade"}, args, o.set), " "), target), nil
	})
}

// forUpgrade marks what is to be upgraded, all if nothing is named, and puts it
// first, so that what is named gets the best version there is. It returns what
// is asked for by a constraint.
func forUpgrade(pinned []resolve.Pinned, named []manifest.Spec) (want []manifest.Spec) {
	rank := func(name string) int {
		if i := slices.IndexFunc(named, func(s manifest.Spec) bool { return s.Name == name }); i >= 0 {
			return i
		}
		return len(named)
	}
	for i := range pinned {
		pinned[i].Upgrade = len(named) == 0 || rank(pinned[i].Name) < len(named)
	}
	slices.SortStableFunc(pinned, func(a, b resolve.Pinned) int { return rank(a.Name) - rank(b.Name) })
	for _, s := range named {
		if !s.Constraint.Any() {
			want = append(want, s)
		}
	}
	return want
}

// sayUpgraded names what changes, and what there would be for another kernel.
func (a *app) sayUpgraded(plan *resolve.Plan, named []manifest.Spec) {
	for i := range plan.Packages {
		c := &plan.Packages[i]
		asked := len(named) == 0 || slices.ContainsFunc(named, func(s manifest.Spec) bool { return s.Name == c.Name })
		text := fmt.Sprintf("%s %s", c.Name, c.Version)
		switch {
		case c.Replaces != "":
			text = fmt.Sprintf("resolved %s %s in the place of %s", c.Name, c.Version, c.Replaces)
		case !c.Installed:
			text = fmt.Sprintf("resolved %s %s, which is needed now", c.Name, c.Version)
		case asked:
			text += " stays"
		default:
			continue
		}
		var why []string
		other := slices.IndexFunc(c.Rejected, func(r resolve.Rejection) bool { return r.Kind != resolve.KindKernel })
		if other >= 0 && asked {
			why = append(why, c.Rejected[other].String())
		}
		if n := newerForKernel(c); n > 0 {
			why = append(why, fmt.Sprintf("%s not fit this kernel; iupkg resolve %s --verbose says why", does(n), c.Name))
		}
		if len(why) > 0 {
			text += " (" + strings.Join(why, "; ") + ")"
		}
		a.ui.step("%s", text)
		for _, f := range c.Unproven {
			a.ui.warn("%s %s may not fit: %s", c.Name, c.Version, f)
		}
	}
	for _, name := range plan.Remove {
		a.ui.step("%s is needed no more", name)
	}
}
