// SPDX-License-Identifier: Apache-2.0

// Command iupkg is the package manager of kernel extensions written in safe
// Rust. This folder only wires packages together: main.go has the flags that
// all verbs share, ui.go how iupkg talks, errors.go which failure has which exit
// code; every other file is one verb.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/registry"
)

func main() {
	// Most runs are over before collecting garbage has paid; one that needs much, as
	// to synchronise a large index, collects it earlier.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(36 << 20)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one ends what does not look at the first, or undoes for too long
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it; it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{ui: newUI(in, out, errOut)}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	a.ui.clearProgress()
	// Who asked for a document gets one, even where there is nothing more to say than
	// that it is done.
	if err == nil && a.ui.json && !a.ui.printed && cmd.Annotations[ownOutput] == "" && !cmd.Flags().Changed("help") {
		err = a.ui.document(struct{}{})
	}
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	return a.ui.fail(ctx, err)
}

// app is one run of the program: what the global flags and the config file say.
type app struct {
	ui *ui

	rootDir    string
	configPath string
	registry   string
	kernel     string
	offline    bool

	cfg config
}

// ownOutput is the annotation of commands whose standard output is somebody else's,
// whatever --json says: a shell's script, or what a command in a machine prints.
const ownOutput = "own-output"

// The groups in which help lists the verbs.
const (
	groupPackages  = "packages"
	groupMachine   = "machine"
	groupPublisher = "publisher"
)

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "iupkg",
		Short:         "Install safe native extensions into a stock Linux kernel",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.configure(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				cmd.SetOut(cmd.ErrOrStderr())
				_ = cmd.Help() // the error below says the rest
				return usagef("no command given")
			}
			err := usagef("no such command: %s", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return withHint(err, "did you mean iupkg %s", strings.Join(near, " or iupkg "))
			}
			return err
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(usageError{err}, "see %s --help", cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: groupPackages, Title: "Packages:"},
		&cobra.Group{ID: groupMachine, Title: "This machine:"},
		&cobra.Group{ID: groupPublisher, Title: "Publishing:"},
	)

	f := root.PersistentFlags()
	f.StringVar(&a.rootDir, "root", install.DefaultRoot, "`directory` with the state of iupkg")
	f.StringVar(&a.configPath, "config", defaultConfig, "configuration `file`")
	f.StringVar(&a.registry, "registry", "", "registry `ref`, host[:port]/prefix, http://host[:port]/prefix, or oci:PATH of an OCI layout")
	f.StringVar(&a.kernel, "kernel", "live", "kernel profile `file` made by iupkg kernel --save, or live")
	f.BoolVar(&a.ui.json, "json", false, "print one JSON document on standard output")
	f.BoolVarP(&a.ui.quiet, "quiet", "q", false, "print only errors and what was asked for")
	f.BoolVarP(&a.ui.verbose, "verbose", "v", false, "say more")
	f.BoolVar(&a.ui.noProgress, "no-progress", false, "no progress display")
	f.BoolVarP(&a.ui.yes, "yes", "y", false, "answer every question with yes")
	f.BoolVar(&a.offline, "offline", false, "do not use the network")

	for _, verb := range a.verbs() {
		wrapArgs(verb)
		root.AddCommand(verb)
	}
	root.CompletionOptions.DisableDefaultCmd = true
	a.addCompletions(root)
	return root
}

// configure runs before every verb.
func (a *app) configure(cmd *cobra.Command) error {
	if a.ui.quiet && a.ui.verbose {
		return usagef("--quiet and --verbose exclude each other")
	}
	given := cmd.Flags().Changed("config")
	var err error
	a.cfg, err = readConfig(a.configPath, given)
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("root") && a.cfg.Root != "" {
		a.rootDir = a.cfg.Root
	}
	if a.registry == "" {
		a.registry = a.cfg.Registry
	}
	if strings.HasPrefix(a.registry, registry.LayoutScheme) {
		a.offline = false // a file is no network
	}
	return nil
}

// root is the store.
func (a *app) root() *install.Root { return install.Open(a.rootDir) }

var errNoRegistry = errors.New("no registry is known")

// registryRef is the registry in use.
func (a *app) registryRef() (string, error) {
	if a.registry == "" {
		return "", withHint(usageError{errNoRegistry}, "give --registry host/prefix, or write registry = \"host/prefix\" to %s", a.configPath)
	}
	return a.registry, nil
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument: %s", args[0])
	}
	return nil
}

// wrapArgs makes wrong numbers of arguments wrong usage, with a pointer to help.
func wrapArgs(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = noArgs
		if cmd.HasSubCommands() {
			check = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return errors.New("what is to be done with it is missing")
				}
				return fmt.Errorf("no such command: %s %s", cmd.CommandPath(), args[0])
			}
		}
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = func(*cobra.Command, []string) error { return nil } // Args has refused
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return withHint(usageError{err}, "see %s --help", cmd.CommandPath())
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}
