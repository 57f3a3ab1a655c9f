// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

// verbs lists every command, in the order in which help shows its group.
func (a *app) verbs() []*cobra.Command {
	return []*cobra.Command{
		a.listCommand(),
		a.historyCommand(),
		a.setupCommand(),
		a.kernelCommand(),
		a.gcCommand(),
		a.keyCommand(),
		a.trustCommand(),
		a.vmCommand(),
		a.versionCommand(),
	}
}
