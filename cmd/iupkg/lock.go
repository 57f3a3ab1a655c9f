// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/resolve"
	"github.com/iupkg/iupkg/signing"
)

const defaultLock = "iupkg.lock"

func (a *app) lockCommand() *cobra.Command {
	var file string
	var set []string
	cmd := &cobra.Command{
		Use:   "lock [NAME[@CONSTRAINT]…]",
		Short: "Write what is installed to a lock file, for install --frozen",
		Long: "Write what is installed, or what would be if the named packages were too, to a lock file:\n" +
			"versions, digests, signers and the kernel they were resolved for. What is named is fetched\n" +
			"and verified, not installed.",
		Example: "  iupkg lock\n  iupkg lock bmc@1.2 --set iface=eth0 --kernel server.json",
		GroupID: groupPackages,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.lock(cmd.Context(), args, set, file)
		},
	}
	cmd.Flags().StringVar(&file, "lock", defaultLock, "write to this `file`")
	cmd.Flags().StringArrayVar(&set, "set", nil, "`KEY=VALUE` of a parameter that a package needs to be valid; not written")
	return cmd
}

func (a *app) lock(ctx context.Context, args, sets []string, file string) error {
	want, err := parseSpecs(args)
	if err != nil {
		return err
	}
	set, err := parseSets(sets, nil, want)
	if err != nil {
		return err
	}
	k, env, err := a.prepare(ctx, installOptions{download: true})
	if err != nil {
		return err
	}
	// Who signed what is new is known once it has been verified.
	verdicts := map[string]*signing.Verdict{}
	env.Report = func(e install.Event) {
		if e.Kind == install.EventVerified {
			verdicts[e.Name] = e.Verdict
		}
		a.report(e)
	}
	var writer *install.Lock
	if len(want) > 0 {
		if writer, err = a.root().Lock(); err != nil {
			return err
		}
		defer writer.Unlock()
	}
	cur, err := a.root().Current()
	if err != nil {
		return err
	}
	plan := install.NewPlan(cur, "lock", cur.Items())
	if writer != nil {
		if plan, err = a.planInstall(ctx, cur, k, want, set, "lock"); err != nil {
			return err
		}
		if _, err := writer.Apply(ctx, plan, env); err != nil {
			return err
		}
	}
	l := lockOf(plan, verdicts)
	l.Kernel = k.Fingerprint()
	if err := ctx.Err(); err != nil { // what was interrupted may have read nothing of it
		return err
	}
	text, err := l.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	a.ui.step("locked %s for Linux %s in %s", count(len(l.Packages), "package"), k.Uname().Release, file)
	if a.ui.json {
		return a.ui.document(l)
	}
	return nil
}

// lockOf is the outcome of a plan.
func lockOf(plan *install.Plan, verdicts map[string]*signing.Verdict) *manifest.Lock {
	l := &manifest.Lock{Schema: manifest.Schema, Packages: []manifest.LockedItem{}}
	for _, c := range plan.Changes {
		if c.New == nil {
			continue
		}
		item := manifest.LockedItem{Name: c.New.Name, Version: c.New.Version, Digest: c.New.Digest, Auto: c.New.Auto,
			Constraint: c.New.Constraint, Features: c.New.Features}
		if v := verdicts[c.New.Name]; v != nil {
			item.Publisher, item.Keys = v.Publisher, v.KeyIDs
		} else {
			item.Publisher, item.Keys = c.Old.Signer.Publisher, []string{c.Old.Signer.KeyID}
		}
		l.Packages = append(l.Packages, item)
	}
	return l
}

// lockDrift means that a lock file does not hold here.
type lockDrift struct {
	file  string
	facts []string
	// untrusted: a digest or a signer is among what drifted.
	untrusted bool
}

func (e *lockDrift) Error() string {
	return e.file + " does not hold here:\n" + strings.Join(e.facts, "\n")
}

func (e *lockDrift) add(format string, args ...any) {
	e.facts = append(e.facts, fmt.Sprintf(format, args...))
}

func (e *lockDrift) distrust(format string, args ...any) {
	e.add(format, args...)
	e.untrusted = true
}

// installFrozen installs what a lock file has, if all is as it was when it was
// written.
func (a *app) installFrozen(ctx context.Context, o installOptions) error {
	l, err := readLock(o.lock)
	if err != nil {
		return err
	}
	var names []manifest.Spec
	for _, i := range l.Packages {
		names = append(names, manifest.Spec{Name: i.Name})
	}
	set, err := parseSets(o.set, o.unset, names)
	if err != nil {
		return err
	}
	for name := range set {
		if l.Find(name) == nil {
			return usagef("--set: %s is not in %s", name, o.lock)
		}
	}
	k, env, err := a.prepare(ctx, o)
	if err != nil {
		return err
	}
	env.Policy = frozenPolicy{env.Policy, l, o.lock}
	return a.transact(ctx, env, o.dry, func(cur *install.Generation) (*install.Plan, error) {
		drift := &lockDrift{file: o.lock, facts: l.Kernel.Drift(k.Fingerprint())}
		drift.installed(l, cur)
		if err := a.driftOfIndex(ctx, l, drift); err != nil {
			return nil, err
		}
		if len(drift.facts) > 0 {
			return nil, drift
		}
		plan := &resolve.Plan{}
		var want []manifest.Spec
		for _, i := range l.Packages {
			plan.Packages = append(plan.Packages, resolve.Choice{Name: i.Name, Version: i.Version, Digest: i.Digest, Wanted: !i.Auto})
			c, err := manifest.ParseConstraint(i.Constraint)
			if err != nil {
				return nil, err
			}
			want = append(want, manifest.Spec{Name: i.Name, Constraint: c, Features: i.Features})
		}
		if err := set.check(plan, cur, "is not in "+o.lock); err != nil {
			return nil, err
		}
		did := slices.Concat([]string{"install", "--frozen"}, o.set)
		return install.NewPlan(cur, strings.Join(did, " "), targetOf(plan, cur, want, set)), nil
	})
}

func readLock(file string) (*manifest.Lock, error) {
	data, err := readInput(file, manifest.MaxLock)
	if err != nil {
		return nil, withHint(usageError{err}, "iupkg lock writes a lock file")
	}
	l, err := manifest.ParseLock(data, file)
	if err != nil {
		return nil, usageError{err}
	}
	return l, nil
}

// installed compares with what is there already.
func (e *lockDrift) installed(l *manifest.Lock, cur *install.Generation) {
	for _, p := range cur.Packages {
		i := l.Find(p.Name)
		switch {
		case i == nil:
			e.add("%s %s is installed and was not locked", p.Name, p.Version)
		case i.Digest == p.Digest && !slices.Contains(i.Keys, p.Signer.KeyID):
			e.distrust("%s %s is installed, signed by %s (%s), and was locked as signed by %s (%s)", p.Name, p.Version,
				p.Signer.Publisher, short(p.Signer.KeyID), i.Publisher, shortKeys(i.Keys))
		}
	}
}

// driftOfIndex compares with what the index says today. Without a copy of one
// there is nothing to compare: the digests say what to fetch.
func (a *app) driftOfIndex(ctx context.Context, l *manifest.Lock, e *lockDrift) error {
	x, err := a.syncedIndex(ctx)
	if errors.Is(err, index.ErrNotSynced) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, i := range l.Packages {
		list, err := x.Versions(ctx, i.Name)
		if errors.Is(err, manifest.ErrUnknownPackage) {
			e.add("%s is not in the index", i.Name)
			continue
		}
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(c manifest.Candidate) bool { return c.Version == i.Version })
		known := false
		if at >= 0 {
			_, known = list[at].RequirementsOf(i.Digest)
		}
		switch {
		case at < 0:
			e.add("%s %s is not in the index", i.Name, i.Version)
		case !known:
			e.distrust("%s %s is %s in the index and was locked as %s", i.Name, i.Version, list[at].Digest, i.Digest)
		case list[at].Yanked != "":
			a.ui.warn("%s %s was yanked: %s", i.Name, i.Version, list[at].Yanked)
		}
	}
	return nil
}

// frozenPolicy asks for the very signers of a lock file, too.
type frozenPolicy struct {
	install.Policy
	lock *manifest.Lock
	file string
}

// Verify is install.Policy.
func (p frozenPolicy) Verify(name, version, digest string, bundles [][]byte) (*signing.Verdict, error) {
	v, err := p.Policy.Verify(name, version, digest, bundles)
	if err != nil {
		return nil, err
	}
	i := p.lock.Find(name)
	if i == nil || i.Digest != digest { // what is replaced
		return v, nil
	}
	for _, id := range i.Keys {
		if !slices.Contains(v.KeyIDs, id) {
			e := &lockDrift{file: p.file}
			e.distrust("%s %s is signed by %s (%s) and was locked as signed by %s (%s)", name, version,
				v.Publisher, shortKeys(v.KeyIDs), i.Publisher, shortKeys(i.Keys))
			return nil, e
		}
	}
	return v, nil
}
