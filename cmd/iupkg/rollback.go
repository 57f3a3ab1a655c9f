// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
)

func (a *app) rollbackCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:     "rollback [N]",
		Short:   "Go back to what was installed in generation N, or in the one before",
		GroupID: groupPackages,
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			n := 0
			if len(args) == 1 {
				var err error
				if n, err = strconv.Atoi(args[0]); err != nil || n < 1 {
					return usagef("%q is not the number of a generation", args[0])
				}
			}
			return a.rollback(cmd.Context(), n, dry)
		},
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "show the plan and stop")
	return cmd
}

func (a *app) rollback(ctx context.Context, n int, dry bool) error {
	if err := a.needLive(); err != nil {
		return err
	}
	k, err := a.target(ctx)
	if err != nil {
		return err
	}
	env, err := a.env(k)
	if err != nil {
		return err
	}
	return a.transact(ctx, env, dry, func(cur *install.Generation) (*install.Plan, error) {
		to, err := a.rollbackTo(cur, n)
		if err != nil {
			return nil, err
		}
		return install.NewPlan(cur, fmt.Sprintf("rollback %d", to.Number), to.Items()), nil
	})
}

// rollbackTo finds the generation to go back to. Generations only ever grow in
// number: going back makes a new one that is like the old.
func (a *app) rollbackTo(cur *install.Generation, n int) (*install.Generation, error) {
	root := a.root()
	if n > 0 {
		g, err := root.Generation(n)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(fmt.Errorf("there is no generation %d", n), "iupkg history lists them")
		}
		return g, err
	}
	all, err := root.History()
	if err != nil {
		return nil, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Number < cur.Number {
			return all[i], nil
		}
	}
	return nil, withHint(errors.New("there is no generation before the one in force"), "iupkg history lists them")
}
