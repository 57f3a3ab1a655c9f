// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

// verbs lists every command, in the order in which help shows its group.
func (a *app) verbs() []*cobra.Command {
	return []*cobra.Command{
		a.removeCommand(),
		a.listCommand(),
		a.statusCommand(),
		a.verifyCommand(),
		a.historyCommand(),
		a.rollbackCommand(),
		a.setupCommand(),
		a.doctorCommand(),
		a.kernelCommand(),
		a.gcCommand(),
		a.keyCommand(),
		a.trustCommand(),
		a.buildCommand(),
		a.registryCommand(),
		a.vmCommand(),
		a.versionCommand(),
	}
}
