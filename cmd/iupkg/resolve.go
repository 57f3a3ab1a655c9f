// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/resolve"
)

func (a *app) resolveCommand() *cobra.Command {
	var kernels []string
	var lock string
	cmd := &cobra.Command{
		Use:     "resolve SPEC…",
		Short:   "What would be installed, on this kernel or on a fleet; --verbose says why not newer",
		GroupID: groupPackages,
		Args:    someArgs("SPEC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(kernels) == 0 {
				kernels = []string{liveKernel}
			}
			return a.resolve(cmd.Context(), args, kernels, lock)
		},
	}
	// In the place of the global flag, which takes one.
	cmd.Flags().StringArrayVar(&kernels, "kernel", nil, "kernel profile `file`, or live; may be given several times (default live)")
	cmd.Flags().StringVar(&lock, "lock", "", "lock `file` whose versions stay where they can, in the place of what is installed")
	return cmd
}

// resolution is what is said of one kernel, or of all.
type resolution struct {
	Kernel   string              `json:"kernel,omitempty"`
	Packages []resolve.Choice    `json:"packages,omitempty"`
	Error    string              `json:"error,omitempty"`
	Rejected []resolve.Rejection `json:"rejected,omitempty"`
}

func newResolution(kernel string, plan *resolve.Plan, fail *resolve.Unsatisfiable) *resolution {
	r := &resolution{Kernel: kernel}
	if plan != nil {
		r.Packages = plan.Packages
	}
	if fail != nil {
		r.Error, r.Rejected = fail.Error(), fail.Rejections
	}
	return r
}

// resolutions is the whole answer. What follows Kernels is there for several.
type resolutions struct {
	Kernels []*resolution   `json:"kernels"`
	All     *resolution     `json:"all,omitempty"`
	Blocked []resolve.Block `json:"blocked,omitempty"`
	Split   []resolve.Group `json:"split,omitempty"`
}

func (a *app) resolve(ctx context.Context, args, kernels []string, lock string) error {
	want, err := parseSpecs(args)
	if err != nil {
		return err
	}
	fleet, err := a.fleet(ctx, kernels)
	if err != nil {
		return err
	}
	src, err := a.syncedIndex(ctx)
	if err != nil {
		return err
	}
	if lock != "" {
		pinned, err := lockedPins(ctx, src, lock)
		if err != nil {
			return err
		}
		for i := range fleet {
			fleet[i].Installed = pinned
		}
	}
	roomToSolve()
	found, err := resolve.SolveFleet(ctx, src, fleet, want)
	if err != nil {
		return err
	}
	var out resolutions
	var failed error
	for _, m := range found.Members {
		out.Kernels = append(out.Kernels, newResolution(m.Name, m.Plan, m.Fail))
		if m.Fail != nil && failed == nil {
			failed = m.Fail
		}
	}
	if len(fleet) == 1 {
		if failed != nil {
			return failed // the error has all there is to say
		}
		return a.ui.answer(out, func(w io.Writer) { a.writeResolution(w, out.Kernels[0]) })
	}
	out.All, out.Blocked, out.Split = newResolution("", found.Common, found.NoCommon), found.Blocked, found.Split
	err = a.ui.answer(out, func(w io.Writer) { a.writeFleet(w, &out) })
	if err == nil && failed != nil {
		err = failed
	}
	return err
}

// roomToSolve gives the resolver memory and not time. It keeps nearly all that it
// reads of the index until it is done, so that collecting garbage below the limit that
// main sets would only go over it again and again.
func roomToSolve() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(128 << 20)
}

// solve is resolve.Solve with room.
func solve(ctx context.Context, src resolve.Source, host resolve.Host, want []manifest.Spec, installed []resolve.Pinned) (*resolve.Plan, error) {
	roomToSolve()
	return resolve.Solve(ctx, src, host, want, installed)
}

// fleet is the kernels that --kernel names, or the live one.
func (a *app) fleet(ctx context.Context, kernels []string) ([]resolve.Member, error) {
	var out []resolve.Member
	for _, k := range kernels {
		target, err := openTarget(ctx, k)
		if err != nil {
			return nil, err
		}
		m := resolve.Member{Name: target.Uname().Release, Host: resolve.On(target)}
		if slices.ContainsFunc(out, func(o resolve.Member) bool { return o.Name == m.Name }) {
			m.Name += " (" + k + ")"
			if slices.ContainsFunc(out, func(o resolve.Member) bool { return o.Name == m.Name }) {
				return nil, usagef("--kernel %s stands twice", k)
			}
		}
		if k == liveKernel { // what is installed here is no matter elsewhere
			cur, err := a.root().Current()
			if err != nil {
				return nil, err
			}
			if m.Installed, err = a.pinned(cur); err != nil {
				return nil, err
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// lockedPins is what a lock file has, with what the index says of it.
func lockedPins(ctx context.Context, src resolve.Source, file string) ([]resolve.Pinned, error) {
	l, err := readLock(file)
	if err != nil {
		return nil, err
	}
	var out []resolve.Pinned
	drift := &lockDrift{file: file}
	for _, i := range l.Packages {
		list, err := src.Versions(ctx, i.Name)
		if err != nil && !errors.Is(err, resolve.ErrUnknownPackage) {
			return nil, err
		}
		at := slices.IndexFunc(list, func(c resolve.Candidate) bool { return c.Version == i.Version })
		var requires manifest.Requirements
		known := false
		if at >= 0 {
			requires, known = list[at].RequirementsOf(i.Digest)
		}
		switch {
		case at < 0:
			drift.add("%s %s is not in the index", i.Name, i.Version)
		case !known:
			drift.distrust("%s %s is %s in the index and was locked as %s", i.Name, i.Version, list[at].Digest, i.Digest)
		default:
			c := list[at]
			constraint, err := manifest.ParseConstraint(i.Constraint)
			if err != nil {
				return nil, err
			}
			out = append(out, resolve.Pinned{Name: i.Name, Version: i.Version, Digest: i.Digest, Auto: i.Auto,
				Constraint: constraint, Enabled: i.Features, Provides: c.Provides, Features: c.Features,
				Requires: requires, Dependencies: c.Dependencies, Conflicts: c.Conflicts})
		}
	}
	if len(drift.facts) > 0 {
		return nil, drift
	}
	return out, nil
}

// writeFleet says what fits all, what keeps newer versions from that, and what
// each kernel could have.
func (a *app) writeFleet(w io.Writer, r *resolutions) {
	if r.All.Error == "" {
		fmt.Fprintf(w, "All %d kernels\n", len(r.Kernels))
	}
	a.writeResolution(w, r.All)
	for _, b := range r.Blocked {
		fmt.Fprintf(w, "%s %s would do on %s; it is blocked by:\n", b.Name, b.Version, linux(b.For))
		for _, by := range b.By {
			fmt.Fprintf(w, "  Linux %s: %s\n", by.Member, by.Why.Reason)
		}
	}
	for _, g := range r.Split {
		var list []string
		for _, c := range g.Plan.Packages {
			list = append(list, c.Name+" "+c.Version)
		}
		fmt.Fprintf(w, "%s for %s\n", strings.Join(list, ", "), linux(g.Members))
	}
	for _, k := range r.Kernels {
		fmt.Fprintf(w, "\nLinux %s\n", k.Kernel)
		a.writeResolution(w, k)
	}
}

// linux is "Linux 6.1.0 and 6.12.0".
func linux(names []string) string {
	if n := len(names); n > 1 {
		return "Linux " + strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return "Linux " + strings.Join(names, "")
}

func (a *app) writeResolution(w io.Writer, r *resolution) {
	if r.Error != "" {
		fmt.Fprintln(w, indentRest(r.Error))
		return
	}
	var rows []string
	for _, c := range r.Packages {
		state := "new"
		if c.Installed {
			state = "installed"
		}
		name := c.Name
		if len(c.Features) > 0 {
			name += "[" + strings.Join(c.Features, ",") + "]"
		}
		if len(c.Provides) > 0 {
			state += " for " + strings.Join(c.Provides, ", ")
		}
		if c.Variant > 0 {
			state += fmt.Sprintf(" (variant %d)", c.Variant)
		}
		rows = append(rows, row(name, c.Version, short(c.Digest), state))
	}
	table(w, "NAME\tVERSION\tDIGEST\tSTATE", rows...)
	for _, c := range r.Packages {
		for _, b := range c.Builds {
			fmt.Fprintf(w, "%s %s is variant %d (%s) on Linux %s\n", c.Name, c.Version, b.Variant, short(b.Digest), b.Member)
		}
		for _, f := range c.Unproven {
			fmt.Fprintf(w, "%s %s may not fit: %s\n", c.Name, c.Version, f)
		}
		if !a.ui.verbose {
			continue
		}
		for _, x := range c.Rejected {
			fmt.Fprintf(w, "not %s %s: %s\n", x.Name, x.Version, x.Reason)
		}
	}
}

// parseSpecs reads NAME and NAME@CONSTRAINT arguments.
func parseSpecs(args []string) ([]manifest.Spec, error) {
	var specs []manifest.Spec
	for _, arg := range args {
		s, err := manifest.ParseSpec(arg)
		if err != nil {
			return nil, withHint(usageError{fmt.Errorf("%s: %w", arg, err)}, "want NAME or NAME@CONSTRAINT, such as bmc@1.2")
		}
		for _, o := range specs {
			if o.Name == s.Name {
				return nil, usagef("%s is asked for twice", s.Name)
			}
		}
		specs = append(specs, s)
	}
	return specs, nil
}

// targetOf is what is to be installed by a plan: its packages, with what is set
// of their parameters now and was before, and with what was asked for: by want
// now, else before.
func targetOf(plan *resolve.Plan, cur *install.Generation, want []manifest.Spec, set paramChanges) []install.Item {
	var items []install.Item
	for _, c := range plan.Packages {
		item := install.Item{Name: c.Name, Version: c.Version, Digest: c.Digest, Auto: !c.Wanted}
		if old := cur.Find(c.Name); old != nil {
			item.Auto = old.Auto && !c.Wanted
			item.Constraint, item.Features = old.Constraint, old.Features
			for k, v := range old.Params {
				put(&item.Params, k, v)
			}
		}
		for _, w := range want {
			if w.Name == c.Name {
				item.Constraint, item.Features = "", w.Features
				if !w.Constraint.Any() {
					item.Constraint = w.Constraint.String()
				}
			}
		}
		for k, v := range set[c.Name] {
			if v == nil {
				delete(item.Params, k)
			} else {
				put(&item.Params, k, *v)
			}
		}
		if len(item.Params) == 0 {
			item.Params = nil
		}
		items = append(items, item)
	}
	return items
}

func put(m *map[string]string, k, v string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[k] = v
}

// paramChanges are what is set of parameters, by package and parameter; nil is what
// was set and is to be no more.
type paramChanges map[string]map[string]*string

// parseSets reads --set and --unset: KEY=VALUE or KEY for the one package asked
// for, or NAME.KEY likewise.
func parseSets(sets, unsets []string, want []manifest.Spec) (paramChanges, error) {
	out := paramChanges{}
	add := func(flag, s, key string, value *string) error {
		name, param, qualified := strings.Cut(key, ".")
		if !qualified {
			if len(want) != 1 {
				return withHint(usagef("%s %s: which package is meant?", flag, s), "write %s NAME.%s", flag, s)
			}
			name, param = want[0].Name, key
		}
		if out[name] == nil {
			out[name] = map[string]*string{}
		}
		if _, twice := out[name][param]; twice {
			return usagef("%s %s: %s is set twice", flag, s, key)
		}
		out[name][param] = value
		return nil
	}
	for _, s := range sets {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, usagef("--set %s: want KEY=VALUE", s)
		}
		if err := add("--set", s, key, &value); err != nil {
			return nil, err
		}
	}
	for _, s := range unsets {
		if s == "" || strings.Contains(s, "=") {
			return nil, usagef("--unset %s: want KEY", s)
		}
		if err := add("--unset", s, s, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// check refuses what is meant for packages that the plan does not have, and what
// is to be unset and is not set.
func (s paramChanges) check(plan *resolve.Plan, cur *install.Generation, missing string) error {
	for name, params := range s {
		if plan.Find(name) == nil {
			return usagef("--set: %s %s", name, missing)
		}
		for param, v := range params {
			old := cur.Find(name)
			if v != nil || old != nil && old.Params[param] != "" {
				continue
			}
			return usagef("--unset %s: it is not set for %s", param, name)
		}
	}
	return nil
}
