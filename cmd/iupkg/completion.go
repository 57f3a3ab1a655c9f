// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the script that completes commands in a shell",
		Long: "Print the script that makes bash, zsh, fish or powershell complete verbs, flags, names of\n" +
			"packages and their versions. Names come from the local copy of the index and from what is\n" +
			"installed; nothing is asked of the network.",
		Example:     "  source <(iupkg completion bash)\n  iupkg completion fish >~/.config/fish/completions/iupkg.fish",
		GroupID:     groupMachine,
		Args:        oneArg("SHELL"),
		Annotations: map[string]string{ownOutput: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeCompletion(a.ui.out, cmd.Root(), args[0])
		},
	}
}

func writeCompletion(w io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		// As it comes, bash takes name@version for two words.
		if _, err := io.WriteString(w, "COMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n"); err != nil {
			return err
		}
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return withHint(usagef("no completion for %q", shell), "one of %s", strings.Join(shells, ", "))
}

// addCompletions says what the arguments of each command may be. A command that
// is not here takes files if its usage names some, else nothing.
func (a *app) addCompletions(root *cobra.Command) {
	known := map[string]cobra.CompletionFunc{
		"install":      a.completing(many, a.indexSpecs),
		"resolve":      a.completing(many, a.indexSpecs),
		"lock":         a.completing(many, a.indexSpecs),
		"bundle":       a.completing(many, a.indexSpecs),
		"info":         a.completing(one, a.indexSpecs),
		"upgrade":      a.completing(many, a.upgradeSpecs),
		"remove":       a.completing(many, a.installedNames),
		"status":       a.completing(one, a.installedNames),
		"logs":         a.completing(many, a.installedNames),
		"verify":       a.completing(one, a.installedNames),
		"rollback":     a.completing(one, a.generations),
		"key show":     a.completing(one, a.keysAtHand),
		"trust remove": a.completing(one, a.publishers),
		"completion":   a.completing(one, func(string) []string { return shells }),
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
		switch f := known[path]; {
		case f != nil:
			cmd.ValidArgsFunction = f
		case strings.Contains(cmd.Use, "DIR"):
			cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
		case !strings.Contains(cmd.Use, "FILE") && !strings.Contains(cmd.Use, "COMMAND"):
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	for _, cmd := range root.Commands() {
		visit(cmd)
	}
	for path, flag := range map[string]string{"new": "type", "publish": "key"} {
		cmd, _, err := root.Find([]string{path})
		if err != nil {
			panic(err)
		}
		f := a.completing(many, a.keysAtHand)
		if flag == "type" {
			f = a.completing(many, func(string) []string { return strings.Fields(join(manifest.Hooks())) })
		}
		if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
			panic(err)
		}
	}
}

// How many arguments a command takes.
const (
	one  = 1
	many = 1 << 30
)

// completing makes a completion of a list of words, each of which may have a
// description behind a tab. What cannot be read is no completion.
func (a *app) completing(most int, words func(prefix string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most || a.configure(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, w := range words(prefix) {
			word, _, _ := strings.Cut(w, "\t")
			name, _, _ := strings.Cut(word, "@")
			taken := slices.ContainsFunc(args, func(arg string) bool {
				n, _, _ := strings.Cut(arg, "@")
				return n == name
			})
			if strings.HasPrefix(word, prefix) && !taken {
				out = append(out, w)
			}
		}
		// Versions stay in the order of the index, newest first.
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// indexSpecs is the names in the index, or, after NAME@, its versions.
func (a *app) indexSpecs(prefix string) []string {
	x, err := index.Open(a.indexDir())
	if err != nil {
		return nil
	}
	if name, _, at := strings.Cut(prefix, "@"); at {
		return versionSpecs(x, name)
	}
	hits, err := x.Search()
	if err != nil {
		return nil
	}
	var out []string
	for _, h := range hits {
		out = append(out, h.Name+"\t"+h.Description)
	}
	slices.Sort(out)
	return out
}

func versionSpecs(x *index.Index, name string) []string {
	list, err := x.Versions(name)
	if err != nil {
		return nil
	}
	var out []string
	for _, v := range slices.Backward(list) {
		if v.Yanked == "" {
			out = append(out, name+"@"+v.Version)
		}
	}
	return out
}

func (a *app) upgradeSpecs(prefix string) []string {
	if strings.Contains(prefix, "@") {
		return a.indexSpecs(prefix)
	}
	return a.installedNames(prefix)
}

func (a *app) installedNames(string) []string {
	g, err := a.root().Current()
	if err != nil {
		return nil
	}
	var out []string
	for _, p := range g.Packages {
		out = append(out, p.Name+"\t"+p.Version)
	}
	return out
}

func (a *app) generations(string) []string {
	all, err := a.root().History()
	if err != nil {
		return nil
	}
	var out []string
	for _, g := range slices.Backward(all) {
		out = append(out, fmt.Sprintf("%d\t%s", g.Number, g.Did))
	}
	return out
}

func (a *app) keysAtHand(string) []string {
	top, err := keysDir()
	if err != nil {
		return nil
	}
	names, err := keyNames(top)
	if err != nil {
		return nil
	}
	return names
}

func (a *app) publishers(string) []string {
	policy, err := a.policy()
	if err != nil {
		return nil
	}
	var out []string
	for _, id := range policy.List() {
		out = append(out, id.Publisher+"\t"+strings.Join(id.Names, " "))
	}
	return out
}
