// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/resolve"
)

func (a *app) resolveCommand() *cobra.Command {
	var kernels []string
	cmd := &cobra.Command{
		Use:     "resolve SPEC…",
		Short:   "What would be installed, on this kernel or others; --verbose says why not newer",
		GroupID: groupPackages,
		Args:    someArgs("SPEC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(kernels) == 0 {
				kernels = []string{liveKernel}
			}
			return a.resolve(cmd.Context(), args, kernels)
		},
	}
	// In the place of the global flag, which takes one.
	cmd.Flags().StringArrayVar(&kernels, "kernel", nil, "kernel profile `file`, or live; may be given several times (default live)")
	return cmd
}

// resolution is the plan for one kernel.
type resolution struct {
	Kernel   string              `json:"kernel"`
	Packages []resolve.Choice    `json:"packages,omitempty"`
	Error    string              `json:"error,omitempty"`
	Rejected []resolve.Rejection `json:"rejected,omitempty"`
	profile  *manifest.Profile   //
	cause    *resolve.Unsatisfiable
}

func (a *app) resolve(ctx context.Context, args, kernels []string) error {
	want, err := parseSpecs(args)
	if err != nil {
		return err
	}
	var all []resolution
	for _, k := range kernels {
		p, err := readProfile(ctx, k)
		if err != nil {
			return err
		}
		all = append(all, resolution{Kernel: p.Release, profile: p})
	}
	src, err := a.syncedIndex(ctx)
	if err != nil {
		return err
	}
	cur, err := a.root().Current()
	if err != nil {
		return err
	}
	var failed error
	for i := range all {
		r := &all[i]
		var pinned []resolve.Pinned
		if kernels[i] == liveKernel { // what is installed here is no matter elsewhere
			if pinned, err = a.pinned(cur); err != nil {
				return err
			}
		}
		plan, err := resolve.Solve(ctx, src, host(r.profile), want, pinned)
		switch {
		case errors.As(err, &r.cause):
			r.Error, r.Rejected = err.Error(), r.cause.Rejections
			if failed == nil {
				failed = err
			}
		case err != nil:
			return err
		default:
			r.Packages = plan.Packages
		}
	}
	if failed != nil && len(all) == 1 {
		return failed // the error has all there is to say
	}
	err = a.ui.answer(map[string]any{"kernels": all}, func(w io.Writer) {
		for i := range all {
			if len(all) > 1 {
				if i > 0 {
					fmt.Fprintln(w)
				}
				fmt.Fprintf(w, "Linux %s\n", all[i].Kernel)
			}
			a.writeResolution(w, &all[i])
		}
	})
	if err == nil && failed != nil {
		err = failed
	}
	return err
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
		rows = append(rows, row(c.Name, c.Version, short(c.Digest), state))
	}
	table(w, "NAME\tVERSION\tDIGEST\tSTATE", rows...)
	for _, c := range r.Packages {
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
// of their parameters now and was before.
func targetOf(plan *resolve.Plan, cur *install.Generation, set map[string]map[string]string) []install.Item {
	var items []install.Item
	for _, c := range plan.Packages {
		item := install.Item{Name: c.Name, Version: c.Version, Digest: c.Digest, Auto: !c.Wanted}
		if old := cur.Find(c.Name); old != nil {
			item.Auto = old.Auto && !c.Wanted
			for k, v := range old.Params {
				put(&item.Params, k, v)
			}
		}
		for k, v := range set[c.Name] {
			put(&item.Params, k, v)
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

// parseSets reads --set: KEY=VALUE for the one package asked for, or
// NAME.KEY=VALUE.
func parseSets(sets []string, want []manifest.Spec) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, s := range sets {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, usagef("--set %s: want KEY=VALUE", s)
		}
		name, param, qualified := strings.Cut(key, ".")
		if !qualified {
			if len(want) != 1 {
				return nil, withHint(usagef("--set %s: which package is meant?", s), "write --set NAME.%s", s)
			}
			name, param = want[0].Name, key
		}
		if out[name] == nil {
			out[name] = map[string]string{}
		}
		if _, twice := out[name][param]; twice {
			return nil, usagef("--set %s: %s is set twice", s, key)
		}
		out[name][param] = value
	}
	return out, nil
}
