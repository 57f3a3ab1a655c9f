// SPDX-License-Identifier: Apache-2.0

// Vmrun is the developer's way into a machine: it fetches kernels, or boots one and runs a command in it.
//
//	go run ./kernel/vm/vmrun -kernel 6.12 -- uname -a
//	go run ./kernel/vm/vmrun -fetch 6.12 6.1     # prints release and folder of each
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/iupkg/iupkg/kernel/vm"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmrun: error:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run() (int, error) {
	var cfg vm.Config
	fetch := flag.Bool("fetch", false, "fetch the named kernels and print where they are")
	dmesg := flag.Bool("dmesg", false, "print the kernel log afterwards")
	flag.StringVar(&cfg.Kernel, "kernel", "6.12", "package, release or series")
	flag.IntVar(&cfg.CPUs, "cpus", 1, "virtual CPUs")
	flag.IntVar(&cfg.MemMiB, "mem", 1024, "memory in MiB")
	flag.StringVar(&cfg.Icount, "icount", "", "QEMU's -icount, such as shift=0,sleep=off")
	flag.StringVar(&cfg.Accel, "accel", "", "tcg or kvm; default: what works")
	flag.StringVar(&cfg.CPU, "cpu", "", "QEMU's -cpu")
	flag.StringVar(&cfg.Append, "append", "", "added to the kernel's command line")
	verbose := flag.Bool("v", false, "show the console and boot time")
	share := flag.String("share", "", "folders that both sides see and write, HOST:GUEST,…")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *fetch {
		for _, name := range flag.Args() {
			k, err := vm.Find(ctx, name)
			if err != nil {
				return 0, err
			}
			fmt.Println(k.Release, k.Dir)
		}
		return 0, nil
	}
	if flag.NArg() == 0 {
		return 0, fmt.Errorf("no command given")
	}
	for _, s := range strings.FieldsFunc(*share, func(r rune) bool { return r == ',' }) {
		host, guest, ok := strings.Cut(s, ":")
		if !ok {
			return 0, fmt.Errorf("share %q: want HOST:GUEST", s)
		}
		cfg.Shares = append(cfg.Shares, vm.Share{Host: host, Guest: guest, Writable: true})
	}
	if *verbose {
		cfg.Console = os.Stderr
	}
	m, err := vm.Start(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer m.Stop()
	if *verbose {
		fmt.Fprintf(os.Stderr, "vmrun: %s up in %v with %s\n", m.Kernel.Release, m.BootTime, m.Accel)
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	code, err := m.Exec(ctx, vm.Cmd{Argv: flag.Args(), Dir: dir, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return 0, err
	}
	log, err := m.Dmesg(ctx)
	if err != nil {
		return 0, err
	}
	if *dmesg {
		fmt.Fprint(os.Stderr, log)
	}
	for _, p := range log.Problems() {
		fmt.Fprintln(os.Stderr, "vmrun: warning: kernel:", p)
	}
	return code, nil
}
