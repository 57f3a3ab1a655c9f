// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what is installed",
		GroupID: groupPackages,
		RunE: func(*cobra.Command, []string) error {
			g, err := a.root().Current()
			if err != nil {
				return err
			}
			type item struct {
				Name      string            `json:"name"`
				Version   string            `json:"version"`
				Digest    string            `json:"digest"`
				Publisher string            `json:"publisher"`
				KeyID     string            `json:"keyID"`
				Params    map[string]string `json:"params,omitempty"`
				Auto      bool              `json:"auto,omitempty"`
				By        string            `json:"constraint,omitempty"`
				Features  []string          `json:"features,omitempty"`
			}
			list := struct {
				Generation int    `json:"generation"`
				Packages   []item `json:"packages"`
			}{g.Number, []item{}}
			var rows []string
			for _, p := range g.Packages {
				list.Packages = append(list.Packages, item{p.Name, p.Version, p.Digest, p.Signer.Publisher, p.Signer.KeyID, p.Params, p.Auto, p.Constraint, p.Features})
				rows = append(rows, row(p.Name, p.Version, short(p.Digest), p.Signer.Publisher, paramText(p)))
			}
			return a.ui.answer(list, func(w io.Writer) {
				if len(rows) == 0 {
					a.ui.step("nothing is installed")
					return
				}
				table(w, "NAME\tVERSION\tDIGEST\tPUBLISHER\tSET", rows...)
			})
		},
	}
}

func paramText(p install.Package) string { return pairs(p.Params) }
