// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/toolchain"
)

func (a *app) buildCommand() *cobra.Command {
	var config string
	var explain bool
	cmd := &cobra.Command{
		Use:     "build [DIR]",
		Short:   "Compile an extension: object and manifest under DIR/target/iupkg",
		GroupID: groupPublisher,
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := a.build(cmd.Context(), dirArg(args), config)
			if err != nil {
				return err
			}
			if explain {
				return a.explain(list[0])
			}
			var answer any = list[0].Manifest
			if len(list) > 1 {
				var all []*manifest.Manifest
				for _, r := range list {
					all = append(all, r.Manifest)
				}
				answer = map[string]any{"variants": all}
			}
			return a.ui.answer(answer, func(w io.Writer) {
				for _, r := range list {
					fmt.Fprintln(w, r.ObjectPath)
				}
			})
		},
	}
	cmd.Flags().StringVar(&config, "kernel-config", "", "`file` with a kernel's configuration: build only the [[variant]] for it")
	cmd.Flags().BoolVar(&explain, "explain", false, "say of every loop and function what is checked at run time, and why")
	return cmd
}

func dirArg(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return "."
}

// build makes the object, or one for each variant that a version has.
func (a *app) build(ctx context.Context, dir, config string) ([]*toolchain.Result, error) {
	lib, err := libDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, usageError{err}
	}
	ctx = toolchain.WithProgress(ctx, func(done, total int, what string) {
		a.ui.workingAt(int64(done), int64(total), "building %s: %s", dir, what)
	})
	a.ui.working("building %s", dir)
	list, err := toolchain.BuildAll(ctx, toolchain.Options{Dir: dir, LibDir: lib, KernelConfig: config, Offline: a.offline, Stderr: a.ui,
		Builder: os.Getenv("IUPKG_BUILDER"), Version: iupkgVersion()})
	a.ui.clearProgress()
	if err != nil {
		return nil, err
	}
	m := list[0].Manifest
	a.ui.step("built %s %s: %s, object of %s", m.Name, m.Version, count(len(m.Programs), "program"), size(m.Object.Size))
	if len(list) > 1 {
		a.ui.step("it has %s", count(len(list), "variant"))
		for _, r := range list {
			a.ui.more("  %s: for kernels with %s", r.ObjectPath, strings.Join(r.Manifest.Requires.Config, " && "))
		}
	}
	for _, p := range m.Programs {
		bound := "stack checked at run time"
		if p.Stack > 0 {
			bound = fmt.Sprintf("stack at most %d bytes", p.Stack)
		}
		a.ui.more("  %s: %s, %s", p.Name, p.Hook, bound)
	}
	return list, nil
}
