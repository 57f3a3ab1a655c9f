// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/kernel"
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
				UAPI     int    `json:"uapi"`
				ABI      int    `json:"objectABI"`
				Loaded   string `json:"runtime,omitempty"` // of iu.ko
			}{iupkgVersion(), runtime.Version(), runtime.GOARCH, manifest.Schema, kernel.UAPIVersion, kernel.ABIVersion, ""}
			if b, err := os.ReadFile("/sys/module/iu/version"); err == nil {
				v.Loaded = strings.TrimSpace(string(b))
			}
			return a.ui.answer(v, func(w io.Writer) {
				loaded := v.Loaded
				if loaded == "" {
					loaded = "not loaded"
				}
				table(w, "",
					row("iupkg", v.IUPkg),
					row("go", v.Go),
					row("arch", v.Arch),
					row("manifest schema", v.Manifest),
					row("runtime UAPI", v.UAPI),
					row("object ABI", v.ABI),
					row("iu.ko", loaded))
			})
		},
	}
}
