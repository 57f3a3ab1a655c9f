// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/manifest"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

func iupkgVersion() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "(devel)"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Versions of every part",
		GroupID: groupMachine,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				IUPkg    string `json:"iupkg"`
				Go       string `json:"go"`
				Arch     string `json:"arch"`
				Manifest int    `json:"manifestSchema"`
			}{iupkgVersion(), runtime.Version(), runtime.GOARCH, manifest.Schema}
			return a.ui.answer(v, func(w io.Writer) {
				table(w, "",
					row("iupkg", v.IUPkg),
					row("go", v.Go),
					row("arch", v.Arch),
					row("manifest schema", v.Manifest))
			})
		},
	}
}
