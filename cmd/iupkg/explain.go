// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/iupkg/iupkg/toolchain"
)

// explain shows what of a build is checked at run time, and why.
func (a *app) explain(r *toolchain.Result) error {
	e, err := toolchain.Explain(r.ReportPath)
	if err != nil {
		return err
	}
	return a.ui.answer(e, func(w io.Writer) {
		for _, p := range e.Programs {
			bound := fmt.Sprintf("at most %d of %d bytes of stack", p.Stack, e.Limit)
			if p.Stack == 0 {
				bound = "stack is checked at run time"
			}
			fmt.Fprintf(w, "program %s: %s\n", p.Name, bound)
			fmt.Fprintf(w, "  deepest: %s\n", strings.Join(p.Path, " -> "))
		}
		fmt.Fprintf(w, "%d loops, %d polled\n", e.Loops, e.Polled)
		for _, f := range e.Functions {
			at := f.At
			if at == "" {
				at = "generated"
			}
			fmt.Fprintf(w, "%s: %s: frame of %d bytes\n", at, f.Name, f.Frame)
			if f.StackCheck != "" {
				fmt.Fprintf(w, "  stack checked: %s\n", f.StackCheck)
			}
			if f.EntryPoll != "" {
				fmt.Fprintf(w, "  polls at its entry: %s\n", f.EntryPoll)
			}
			for _, l := range f.Loops {
				poll := "no poll"
				if l.Polled {
					poll = "polls"
				}
				fmt.Fprintf(w, "  %s: loop: %s: %s\n", l.At, poll, l.Why)
			}
		}
	})
}
