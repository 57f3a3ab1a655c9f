// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

// verbs lists every command, in the order in which help shows its group.
func (a *app) verbs() []*cobra.Command {
	return []*cobra.Command{
		a.installCommand(),
		a.upgradeCommand(),
		a.removeCommand(),
		a.listCommand(),
		a.statusCommand(),
		a.topCommand(),
		a.logsCommand(),
		a.syncCommand(),
		a.searchCommand(),
		a.infoCommand(),
		a.resolveCommand(),
		a.lockCommand(),
		a.verifyCommand(),
		a.historyCommand(),
		a.rollbackCommand(),
		a.setupCommand(),
		a.restoreCommand(),
		a.prepareCommand(),
		a.doctorCommand(),
		a.kernelCommand(),
		a.gcCommand(),
		a.keyCommand(),
		a.trustCommand(),
		a.newCommand(),
		a.buildCommand(),
		a.checkCommand(),
		a.publishCommand(),
		a.indexCommand(),
		a.mirrorCommand(),
		a.bundleCommand(),
		a.registryCommand(),
		a.vmCommand(),
		a.completionCommand(),
		a.versionCommand(),
		a.docsCommand(),
		a.canaryCommand(),
	}
}
