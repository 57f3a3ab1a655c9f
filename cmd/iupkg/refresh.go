// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) indexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "index",
		Short:   "Look after the index of a registry",
		GroupID: groupPublisher,
	}
	var key string
	refresh := &cobra.Command{
		Use:   "refresh",
		Short: "Sign the index anew, so that it does not expire",
		Long: "Signs the index anew without changing what it says. An index ends 30 days after it was\n" +
			"last signed, so that nobody can hide for longer that there is a newer one: run this more\n" +
			"often than that where nothing is published, as from a timer.",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.indexRefresh(cmd.Context(), key) },
	}
	refresh.Flags().StringVar(&key, "key", "", "`publisher` whose keys sign, if there are several")
	cmd.AddCommand(refresh)
	cmd.AddCommand(a.editCommands()...)
	return cmd
}

func (a *app) indexRefresh(ctx context.Context, key string) error {
	p, err := a.indexPublisher(ctx, key)
	if err != nil {
		return err
	}
	a.ui.working("signing the index")
	end, err := p.Refresh(ctx)
	a.ui.clearProgress()
	if err != nil {
		return err
	}
	a.ui.step("signed the index anew, good until %s", end.Format(time.DateOnly))
	if a.ui.json {
		return a.ui.document(map[string]any{"expires": end})
	}
	return nil
}
