// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/toolchain"
)

func (a *app) buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "build [DIR]",
		Short:   "Compile an extension: object and manifest under DIR/target/iupkg",
		GroupID: groupPublisher,
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.build(cmd.Context(), dirArg(args))
			if err != nil {
				return err
			}
			return a.ui.answer(r.Manifest, func(w io.Writer) {
				fmt.Fprintln(w, r.ObjectPath)
			})
		},
	}
}

func dirArg(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return "."
}

func (a *app) build(ctx context.Context, dir string) (*toolchain.Result, error) {
	lib, err := libDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, usageError{err}
	}
	a.ui.working("building %s", dir)
	r, err := toolchain.Build(ctx, toolchain.Options{Dir: dir, LibDir: lib, Offline: a.offline, Stderr: a.ui,
		Builder: os.Getenv("IUPKG_BUILDER"), Version: iupkgVersion()})
	a.ui.clearProgress()
	if err != nil {
		return nil, err
	}
	m := r.Manifest
	a.ui.step("built %s %s: %s, object of %s", m.Name, m.Version, count(len(m.Programs), "program"), size(m.Object.Size))
	for _, p := range m.Programs {
		bound := "stack checked at run time"
		if p.Stack > 0 {
			bound = fmt.Sprintf("stack at most %d bytes", p.Stack)
		}
		a.ui.more("  %s: %s, %s", p.Name, p.Hook, bound)
	}
	return r, nil
}
