// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/kernel/vm"
)

func (a *app) vmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "vm",
		Short:   "Stock kernels in a virtual machine over this machine's files",
		GroupID: groupPublisher,
	}
	var cfg vm.Config
	var shares []string
	run := &cobra.Command{
		Use:   "run [--kernel PACKAGE] -- COMMAND [ARG…]",
		Short: "Run a command in a stock kernel; what it writes is gone afterwards",
		Long: "Runs a command in a virtual machine with a stock kernel, whose files are this\n" +
			"machine's, read-only, with a scratch layer on top. The exit code is the\n" +
			"command's. Warnings in the kernel's log are shown.",
		Args:        someArgs("COMMAND"),
		Annotations: map[string]string{ownOutput: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, s := range shares {
				host, guest, ok := strings.Cut(s, ":")
				if !ok {
					return usagef("--share %s: want HOST:GUEST", s)
				}
				cfg.Shares = append(cfg.Shares, vm.Share{Host: host, Guest: guest, Writable: true})
			}
			return a.vmRun(cmd.Context(), cfg, args)
		},
	}
	run.Flags().StringVar(&cfg.Kernel, "kernel", "6.12", "Debian `package`, release or series of the kernel")
	run.Flags().IntVar(&cfg.CPUs, "cpus", 1, "`number` of virtual CPUs")
	run.Flags().IntVar(&cfg.MemMiB, "mem", 1024, "memory in `MiB`")
	run.Flags().StringSliceVar(&shares, "share", nil, "folders that both sides see and write, `HOST:GUEST`")
	// Flags of the command are the command's.
	run.Flags().SetInterspersed(false)
	cmd.AddCommand(run)
	return cmd
}

// exitCode ends iupkg with a command's own exit code; the command has said why.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (a *app) vmRun(ctx context.Context, cfg vm.Config, argv []string) error {
	if a.ui.verbose {
		cfg.Console = a.ui.err
	}
	a.ui.working("booting a stock %s kernel", cfg.Kernel)
	m, err := vm.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer m.Stop()
	a.ui.more("%s is up after %.1f s (%s)", m.Kernel.Release, m.BootTime.Seconds(), m.Accel)
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	a.ui.clearProgress()
	// What is iupkg's own here is there too: the files are the same.
	var env []string
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "IUPKG_") {
			env = append(env, e)
		}
	}
	code, err := m.Exec(ctx, vm.Cmd{Argv: argv, Dir: dir, Env: env, Stdout: a.ui.out, Stderr: a.ui.err})
	if err != nil {
		return err
	}
	log, err := m.Dmesg(ctx)
	if err != nil {
		return err
	}
	for _, p := range log.Problems() {
		a.ui.warn("kernel: %s", p)
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}
