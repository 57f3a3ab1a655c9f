// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/bench/wire"
	"github.com/iupkg/iupkg/kernel"
	"golang.org/x/sys/unix"
)

// run runs a program in the kernel's test loop and returns the last verdict and
// the nanoseconds of one turn.
func run(p *ebpf.Program, packet []byte, repeat int) (verdict, ns uint32, err error) {
	verdict, t, err := p.Benchmark(packet, repeat, func() {})
	return verdict, uint32(t.Nanoseconds()), err
}

// loadTime measures from the wrapper to an extension that is callable: the
// processor time of this process, in it and in the kernel for it. What other threads of the
// kernel do in the meantime is not in it, and neither is waiting for them.
func (b *bench) loadTime(ctx context.Context) error {
	const folder, name = "empty", "bench-empty"
	spec, err := b.dir.Spec(folder)
	if err != nil {
		return err
	}
	var least, leastElapsed time.Duration
	for try := range 10 {
		if err := kernel.Unload(ctx, &kernel.Loaded{Name: name}); err != nil {
			return err
		}
		cpu, clock, err := clocks()
		if err != nil {
			return err
		}
		if _, err = kernel.Load(ctx, spec); err != nil {
			return err
		}
		cpu2, clock2, err := clocks()
		if err != nil {
			return err
		}
		if try == 0 || cpu2-cpu < least {
			least = cpu2 - cpu
		}
		if try == 0 || clock2-clock < leastElapsed {
			leastElapsed = clock2 - clock
		}
	}
	b.add(wire.Figure{Name: "load.extension", Value: float64(least.Nanoseconds()), Unit: instructions})
	b.add(wire.Figure{Name: "load.extension.elapsed", Value: float64(leastElapsed.Nanoseconds()) / 1e6, Unit: "ms"})
	return nil
}

// clocks reads the processor time of this process, and the time.
func clocks() (cpu, clock time.Duration, err error) {
	var t [2]unix.Timespec
	for i, id := range []int32{unix.CLOCK_PROCESS_CPUTIME_ID, unix.CLOCK_MONOTONIC} {
		if err := unix.ClockGettime(id, &t[i]); err != nil {
			return 0, 0, fmt.Errorf("clock %d: %w", id, err)
		}
	}
	return time.Duration(t[0].Nano()), time.Duration(t[1].Nano()), nil
}
