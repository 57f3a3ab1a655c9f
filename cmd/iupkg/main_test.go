// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var updateDocs = flag.Bool("update-docs", false, "rewrite docs/reference")

// The scripts run the real main, as a process of its own for each command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"iupkg": main})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup:               setupScript,
		Cmds:                scriptCommands,
		Condition:           scriptConditions,
	})
}
