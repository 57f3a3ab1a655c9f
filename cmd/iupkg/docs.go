// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docsCommand writes the reference from the commands themselves, for those who
// package iupkg; the one in docs/reference is checked to be up to date.
func (a *app) docsCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:    "docs DIR",
		Short:  "Write the reference of all commands, as man pages or Markdown",
		Hidden: true,
		Args:   oneArg("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := writeDocs(cmd.Root(), args[0], format)
			if err != nil {
				return err
			}
			a.ui.step("wrote %s to %s", count(n, "page"), args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "man", "man or markdown")
	return cmd
}

// writeDocs writes a page for each command that help shows.
func writeDocs(root *cobra.Command, dir, format string) (int, error) {
	var w func(*bytes.Buffer, *cobra.Command)
	name := func(cmd *cobra.Command) string { return pageName(cmd) + ".1" }
	switch format {
	case "man":
		w = manPage
	case "markdown":
		w = markdownPage
		name = markdownFile
	default:
		return 0, withHint(usagef("no format %q", format), "--format is man or markdown")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	n := 0
	var visit func(cmd *cobra.Command) error
	visit = func(cmd *cobra.Command) error {
		var page bytes.Buffer
		w(&page, cmd)
		n++
		if err := os.WriteFile(filepath.Join(dir, name(cmd)), page.Bytes(), 0o644); err != nil {
			return err
		}
		for _, sub := range subcommands(cmd) {
			if err := visit(sub); err != nil {
				return err
			}
		}
		return nil
	}
	err := visit(root)
	return n, err
}

// subcommands is those that help shows, without help itself.
func subcommands(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			out = append(out, sub)
		}
	}
	return out
}

// pageName is "iupkg-trust-add".
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func markdownFile(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "README.md"
	}
	return pageName(cmd) + ".md"
}

// usageLine is what stands under usage: a command that only has others has
// COMMAND.
func usageLine(cmd *cobra.Command) string {
	line := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND"
	}
	if cmd.NonInheritedFlags().HasAvailableFlags() && !strings.Contains(line, " --") {
		line += " [flags]"
	}
	return line
}

func describe(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// option is a flag as it is shown.
type option struct{ names, usage string }

func options(flags *pflag.FlagSet) []option {
	var out []option
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		arg, usage := pflag.UnquoteUsage(f)
		o := option{names: "--" + f.Name, usage: usage}
		if f.Shorthand != "" {
			o.names = "-" + f.Shorthand + ", " + o.names
		}
		if arg != "" {
			o.names += " " + arg
		}
		switch f.DefValue {
		case "", "false", "0", "[]", "0s":
		default:
			if !strings.Contains(usage, "default") {
				o.usage += " (default " + f.DefValue + ")"
			}
		}
		out = append(out, o)
	})
	return out
}

func markdownPage(b *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(b, "<!-- Made by iupkg docs; do not edit. -->\n\n# %s\n\n%s\n\n", cmd.CommandPath(), describe(cmd))
	fmt.Fprintf(b, "```\n%s\n```\n", usageLine(cmd))
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso: `%s`\n", strings.Join(cmd.Aliases, "`, `"))
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n## Examples\n\n```\n%s\n```\n", outdent(cmd.Example))
	}
	if subs := subcommands(cmd); len(subs) > 0 {
		groups := cmd.Groups()
		if len(groups) == 0 {
			groups = []*cobra.Group{{Title: "Commands:"}}
		}
		for _, g := range groups {
			fmt.Fprintf(b, "\n## %s\n\n", strings.TrimSuffix(g.Title, ":"))
			for _, sub := range subs {
				if sub.GroupID == g.ID {
					fmt.Fprintf(b, "- [`%s`](%s): %s\n", sub.CommandPath(), markdownFile(sub), sub.Short)
				}
			}
		}
	}
	if opts := options(cmd.NonInheritedFlags()); len(opts) > 0 {
		title := "Flags"
		if !cmd.HasParent() {
			title = "Flags of every command"
		}
		fmt.Fprintf(b, "\n## %s\n\n", title)
		for _, o := range opts {
			fmt.Fprintf(b, "- `%s`: %s\n", o.names, o.usage)
		}
	}
	if cmd.HasParent() {
		fmt.Fprintf(b, "\nFlags of every command and exit codes: [`%s`](README.md)\n", cmd.Root().Name())
		return
	}
	b.WriteString("\n## Exit codes\n\n")
	for _, x := range exitTexts {
		fmt.Fprintf(b, "- %d: %s\n", x.code, x.text)
	}
}

func outdent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// roff escapes text for groff_man(7): a backslash, a hyphen that is to stay one,
// and a control character at the start of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// manPage follows man-pages(7).
func manPage(b *bytes.Buffer, cmd *cobra.Command) {
	p := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	p(`.\" Made by iupkg docs; do not edit.`)
	p(`.TH "%s" "1" "" "iupkg" "iupkg Manual"`, strings.ToUpper(roff(pageName(cmd))))
	p(".SH NAME\n%s \\- %s", roff(pageName(cmd)), roff(cmd.Short))
	p(".SH SYNOPSIS\n.B %s", roff(usageLine(cmd)))
	p(".SH DESCRIPTION\n%s", roff(describe(cmd)))
	if subs := subcommands(cmd); len(subs) > 0 {
		p(".SH COMMANDS")
		for _, sub := range subs {
			p(".TP\n.BR %s (1)\n%s", roff(pageName(sub)), roff(sub.Short))
		}
	}
	if opts := options(cmd.NonInheritedFlags()); len(opts) > 0 {
		p(".SH OPTIONS")
		for _, o := range opts {
			p(".TP\n.B %s\n%s", roff(o.names), roff(o.usage))
		}
	}
	if cmd.Example != "" {
		p(".SH EXAMPLES\n.nf\n%s\n.fi", roff(outdent(cmd.Example)))
	}
	if !cmd.HasParent() {
		p(".SH EXIT STATUS")
		for _, x := range exitTexts {
			p(".TP\n.B %d\n%s", x.code, roff(x.text))
		}
		return
	}
	p(".SH SEE ALSO\n.BR %s (1)", roff(pageName(cmd.Parent())))
}
