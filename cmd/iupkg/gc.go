// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) gcCommand() *cobra.Command {
	var keep int
	var dry bool
	cmd := &cobra.Command{
		Use:     "gc",
		Short:   "Free blobs that no kept generation needs",
		GroupID: groupMachine,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keep < 1 {
				return usagef("--keep is %d: want at least 1", keep)
			}
			lock, err := a.root().Lock()
			if err != nil {
				return err
			}
			defer lock.Unlock()
			c, err := lock.Collect(keep, dry)
			if err != nil {
				return err
			}
			return a.ui.answer(c, func(w io.Writer) {
				verb := "removed"
				if dry {
					verb = "would remove"
				}
				fmt.Fprintf(w, "%s %s and %s, %s\n", verb, count(len(c.Generations), "generation"), count(len(c.Blobs), "blob"), size(c.Bytes))
			})
		},
	}
	cmd.Flags().IntVar(&keep, "keep", 5, "`number` of generations to keep for rollback")
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "say what would be removed")
	return cmd
}
