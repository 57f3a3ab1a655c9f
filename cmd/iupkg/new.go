// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/toolchain"
)

func (a *app) newCommand() *cobra.Command {
	var hook, dir string
	cmd := &cobra.Command{
		Use:     "new NAME --type HOOK",
		Short:   "Start an extension: a project that builds, tests and loads as it is",
		GroupID: groupPublisher,
		Args:    oneArg("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			if err := manifest.CheckName(name); err != nil {
				return usageError{err}
			}
			if !slices.Contains(manifest.Hooks(), manifest.Hook(hook)) {
				return withHint(usagef("%q is not a hook", hook), "--type is one of %v", manifest.Hooks())
			}
			if dir == "" {
				dir = name
			}
			lib, err := libDir()
			if err != nil {
				return err
			}
			if err := toolchain.New(dir, name, manifest.Hook(hook), lib); err != nil {
				return err
			}
			a.ui.step("made %s; next: iupkg build %s", name, dir)
			return a.ui.answer(map[string]string{"name": name, "dir": dir}, func(w io.Writer) { fmt.Fprintln(w, dir) })
		},
	}
	cmd.Flags().StringVar(&hook, "type", "xdp", "`hook` that its program attaches to")
	cmd.Flags().StringVar(&dir, "dir", "", "`directory` to make it in, by default NAME")
	return cmd
}
