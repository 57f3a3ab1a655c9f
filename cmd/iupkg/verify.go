// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify [NAME]",
		Short:   "Compare store and kernel with digests and signatures",
		GroupID: groupPackages,
		Args:    atMostOneArg,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.verify(cmd.Context(), args) },
	}
}

// driftError means that something installed is not what it should be.
type driftError struct {
	failed  int
	trusted bool // store and signatures hold
}

func (e *driftError) Error() string { return count(e.failed, "check") + " failed" }

func (a *app) verify(ctx context.Context, names []string) error {
	pkgs, err := a.installed(names)
	if err != nil {
		return err
	}
	env, err := a.env(nil)
	if err != nil {
		return err
	}
	all := []install.Check{}
	drift := driftError{trusted: true}
	for i := range pkgs {
		checks, err := a.root().Verify(ctx, env, &pkgs[i])
		if err != nil {
			return err
		}
		for _, c := range checks {
			if !c.OK {
				drift.failed++
				drift.trusted = drift.trusted && c.Part != install.PartBlobs && c.Part != install.PartSignatures
			}
		}
		all = append(all, checks...)
	}
	err = a.ui.answer(all, func(w io.Writer) {
		var rows []string
		for _, c := range all {
			state := "ok"
			switch {
			case c.Mended:
				state = "mended"
			case !c.OK:
				state = "failed"
			}
			rows = append(rows, row(c.Package, c.Part, state, c.Detail))
		}
		if len(rows) == 0 {
			a.ui.step("nothing is installed")
			return
		}
		table(w, "PACKAGE\tPART\tSTATE\tDETAIL", rows...)
	})
	if err == nil && drift.failed > 0 {
		err = &drift
	}
	return err
}

// installed is the packages of those names, or all.
func (a *app) installed(names []string) ([]install.Package, error) {
	g, err := a.root().Current()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return g.Packages, nil
	}
	var out []install.Package
	for _, n := range names {
		p := g.Find(n)
		if p == nil {
			return nil, withHint(fmt.Errorf("%s: %w", n, errNotInstalled), "iupkg list says what is")
		}
		out = append(out, *p)
	}
	return out, nil
}

var errNotInstalled = errors.New("not installed")
