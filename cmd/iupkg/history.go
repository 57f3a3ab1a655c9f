// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "history",
		Short:   "List the generations: what was installed when",
		GroupID: groupPackages,
		RunE: func(*cobra.Command, []string) error {
			root := a.root()
			cur, err := root.Current()
			if err != nil {
				return err
			}
			all, err := root.History()
			if err != nil {
				return err
			}
			type item struct {
				Number   int       `json:"number"`
				Time     time.Time `json:"time"`
				Did      string    `json:"did"`
				Kernel   string    `json:"kernel"`
				Current  bool      `json:"current"`
				Packages []string  `json:"packages"`
			}
			items := []item{}
			var rows []string
			for _, g := range all {
				it := item{g.Number, g.Time, g.Did, g.Kernel, g.Number == cur.Number, []string{}}
				for _, p := range g.Packages {
					it.Packages = append(it.Packages, p.Name+"@"+p.Version)
				}
				mark := ""
				if it.Current {
					mark = "current"
				}
				items = append(items, it)
				rows = append(rows, row(g.Number, g.Time.Local().Format("2006-01-02 15:04:05"), g.Did, strings.Join(it.Packages, " "), mark))
			}
			return a.ui.answer(items, func(w io.Writer) {
				if len(rows) == 0 {
					a.ui.step("nothing was ever installed")
					return
				}
				table(w, "GENERATION\tTIME\tCOMMAND\tPACKAGES\tSTATE", rows...)
			})
		},
	}
}

// pairs is "a=1 b=2".
func pairs(m map[string]string) string {
	var s []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		s = append(s, k+"="+m[k])
	}
	return strings.Join(s, " ")
}
