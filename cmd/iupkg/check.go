// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/toolchain"
)

func (a *app) checkCommand() *cobra.Command {
	var config string
	var editor bool
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Look for errors in an extension without making an object",
		Long: "Look for errors in an extension without making an object.\n\n" +
			"With --editor, standard output has the messages of cargo, one JSON document a line, for editors that would run\n" +
			"`cargo check --message-format=json`; the toolchain's own rules are among them.",
		GroupID: groupPublisher,
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := a.check(cmd.Context(), dirArg(args), config)
			if err != nil {
				return err
			}
			failed := 0
			for _, d := range list {
				if d.Level == "error" {
					failed++
				}
			}
			if editor {
				for _, d := range list {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", d.Raw)
				}
			} else if err := a.ui.answer(list, func(w io.Writer) { printDiagnostics(w, list) }); err != nil {
				return err
			}
			if failed > 0 {
				return errors.New(count(failed, "error"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "kernel-config", "", "`file` with the kernel's configuration, to choose [[variant]]s by")
	cmd.Flags().BoolVar(&editor, "editor", false, "write cargo's messages, one a line")
	return cmd
}

func (a *app) check(ctx context.Context, dir, config string) ([]toolchain.Diagnostic, error) {
	lib, err := libDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, usageError{err}
	}
	a.ui.working("checking %s", dir)
	list, err := toolchain.Check(ctx, toolchain.Options{Dir: dir, LibDir: lib, KernelConfig: config, Offline: a.offline})
	a.ui.clearProgress()
	if list == nil {
		list = []toolchain.Diagnostic{}
	}
	return list, err
}

func printDiagnostics(w io.Writer, list []toolchain.Diagnostic) {
	for _, d := range list {
		at := d.File
		if d.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, d.Line)
		}
		if d.Column > 0 {
			at = fmt.Sprintf("%s:%d", at, d.Column)
		}
		if at != "" {
			at += ": "
		}
		code := ""
		if d.Code != "" {
			code = " [" + d.Code + "]"
		}
		fmt.Fprintf(w, "%s%s: %s%s\n", at, d.Level, d.Message, code)
		if d.Hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", d.Hint)
		}
	}
}
