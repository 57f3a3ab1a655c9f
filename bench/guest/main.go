// SPDX-License-Identifier: Apache-2.0

// Guest measures in a virtual machine that counts instructions: one nanosecond of
// its clock is one instruction (QEMU's -icount shift=0). It wants iu.ko, the
// extensions with signatures and certificate, and the baseline's programs in the folder that
// it is given, and prints one wire.Report. Never run it on a machine that matters: it
// loads modules.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/bench/wire"
	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/kernel"
)

func main() {
	// As little as can be of what runs beside the measurement.
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: guest DIR")
		os.Exit(2)
	}
	report, err := measure(context.Background(), os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: error: %+v\n", err)
		os.Exit(1)
	}
}

type bench struct {
	dir    sideload.Folder
	native map[string]*ebpf.Program // stubs, as "extension/program"
	ebpf   map[string]*ebpf.Program
	rings  []ring
	report wire.Report
}

func measure(ctx context.Context, dir string) (*wire.Report, error) {
	b := &bench{dir: sideload.Folder(dir), native: map[string]*ebpf.Program{}, ebpf: map[string]*ebpf.Program{}}
	if err := b.describe(); err != nil {
		return nil, err
	}
	if err := b.loadBaseline(); err != nil {
		return nil, err
	}
	if err := b.dir.Ready(ctx); err != nil {
		return nil, err
	}
	if err := b.loadAll(ctx); err != nil {
		return nil, err
	}
	if err := b.all(); err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context) error{b.loadTime, b.memory, b.overrun} {
		if err := measure(ctx); err != nil {
			return nil, err
		}
	}
	return &b.report, nil
}

// describe notes what the figures depend on beside the code.
func (b *bench) describe() error {
	files, err := filepath.Glob("/sys/devices/system/cpu/vulnerabilities/*")
	if err != nil {
		return err
	}
	b.report.Machine = map[string]string{}
	for _, f := range append(files, "/sys/devices/system/clocksource/clocksource0/current_clocksource", "/proc/sys/kernel/osrelease") {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		b.report.Machine[filepath.Base(f)] = strings.TrimSpace(string(text))
	}
	return nil
}

func (b *bench) loadBaseline() error {
	spec, err := ebpf.LoadCollectionSpec(b.dir.File("baseline.o"))
	if err != nil {
		return err
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	b.ebpf = c.Programs
	if err := fill(c.Maps["hash"]); err != nil {
		return err
	}
	if err := b.addRing(c.Maps["ring"]); err != nil {
		return err
	}
	return c.Maps["again"].Put(uint32(0), c.Programs["recursion"])
}

// fill puts in the one key that is looked up. With more of them the cost would hang
// on which share a bucket, which is another in every boot.
func fill(m *ebpf.Map) error { return m.Put(uint32(0), uint64(0)) }

// loadAll loads every extension; none is attached to anything.
func (b *bench) loadAll(ctx context.Context) error {
	names, err := b.dir.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == endless {
			continue // needs iu_torture.ko
		}
		spec, err := b.dir.Spec(name)
		if err != nil {
			return err
		}
		l, err := kernel.Load(ctx, spec)
		if err != nil {
			return err
		}
		for _, p := range l.Programs {
			if b.native[name+"/"+p.Name], err = ebpf.LoadPinnedProgram(p.Pin, nil); err != nil {
				return err
			}
		}
		for _, m := range l.Maps {
			prepare := map[string]func(*ebpf.Map) error{"hash": fill, "ring": b.addRing}[m.Name]
			if prepare == nil {
				continue
			}
			pinned, err := ebpf.LoadPinnedMap(m.Pin, nil)
			if err != nil {
				return err
			}
			if err := prepare(pinned); err != nil {
				return err
			}
		}
	}
	return nil
}
